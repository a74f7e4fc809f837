/** Loads what a {@link ModuleSource} names, in the process or thread that is to work with it. */
import { KasminaError } from "../../base/index.js";
import { type Blueprint, BlueprintRegistry, builtins } from "../../nn/index.js";
import type { ModuleSource } from "./tracing-protocol.js";

/** @throws KasminaError `invalid_argument` where the module exports nothing of that name */
export async function loadModuleSource<T>({ module, name, args }: ModuleSource): Promise<T> {
  const exported = ((await import(module)) as Record<string, unknown>)[name];
  if (exported === undefined) {
    throw new KasminaError("invalid_argument", `${module} exports no ${name}`);
  }
  return (args && typeof exported === "function" ? await exported(...args) : exported) as T;
}

/** The built-in blueprints and those of the sources, of which one takes the place of a built-in one of the same id. */
export async function loadBlueprints(sources: readonly ModuleSource[]): Promise<BlueprintRegistry> {
  const loaded = await Promise.all(
    sources.map((source) => loadModuleSource<Blueprint | BlueprintRegistry>(source)),
  );
  const own = loaded.flatMap((one) => (one instanceof BlueprintRegistry ? one.all : [one]));
  const byId = new Map([...builtins, ...own].map((blueprint) => [blueprint.id, blueprint]));
  return new BlueprintRegistry([...byId.values()]);
}
