/**
 * `run.json`: what a run was asked for. Code cannot be written down; where host, data, blueprints or policy are code, the
 * file holds what they are known by, so that a run is never resumed with others.
 */
import { z } from "zod";
import { KasminaError } from "../../base/index.js";
import { dataSchema } from "./data-record.js";

/** Where a piece of code came from: a file that can be loaded again, or the program itself. */
const originSchema = z.object({
  from: z.enum(["code", "module"]),
  /** Absolute path, the name of its export, and the file's SHA-256, where it is a module. */
  file: z.string().optional(),
  export: z.string().optional(),
  file_sha256: z.string().optional(),
});

const hostSchema = originSchema.extend({
  id: z.string(),
  input_shape: z.array(z.number()),
  input_dtype: z.string(),
  classes: z.number(),
  blocks: z.array(
    z.object({
      name: z.string(),
      output_shape: z.array(z.number()),
      slot: z.boolean(),
      parameters: z.record(z.string(), z.array(z.number())),
    }),
  ),
  /** Of the parameters that the run began with. */
  parameters_sha256: z.string(),
  /** Of the traced forward pass: what the host computes. */
  program_sha256: z.string(),
});
const blueprintSchema = originSchema.extend({
  id: z.string(),
  form: z.string(),
  /** Of the traced kernel at the first slot that it fits; null where it fits none or cannot be traced. */
  program_sha256: z.string().nullable(),
});
const sourcesSchema = z.object({
  host: hostSchema.optional(),
  blueprints: z.array(blueprintSchema).optional(),
  data: z.object({ from: z.literal("code"), name: z.string() }).optional(),
  policy: z.object({ from: z.literal("code"), version: z.string() }).optional(),
});

const runFileSchema = z.object({
  run_id: z.string(),
  config: z.record(z.string(), z.unknown()),
  /** Which data; left out by runs of the time before it was written. */
  data: dataSchema.optional(),
  /** Of the checkpoint that the teacher was read from. */
  teacher_sha256: z.string().optional(),
  /** What it goes on from: the digest of the checkpoint or of the ONNX file, and the run's id. */
  parent: z.string().optional(),
  parent_run_id: z.string().optional(),
  /** Left out where all is built in or a file that the configuration names. */
  sources: sourcesSchema.default({}),
});

export type HostRecord = z.infer<typeof hostSchema>;
export type BlueprintRecord = z.infer<typeof blueprintSchema>;
export type SourceRecords = z.infer<typeof sourcesSchema>;
export type RunFile = z.infer<typeof runFileSchema>;

/**
 * @param about as `readRunFolder` gives it
 * @throws KasminaError `corrupt` where it is not what a run writes
 */
export function runFileOf(about: unknown, folder: string): RunFile {
  const result = runFileSchema.safeParse(about);
  if (result.success) return result.data;
  throw new KasminaError("corrupt", `${folder}: run.json does not say what was asked for`);
}
