import { cp, mkdtemp, readdir, rm, symlink, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../cli.js";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-cli-catalog-"));
});
afterEach(() => rm(root, { recursive: true }));

/** Runs `kasmina catalog …` with the catalog of this test, taken from the environment. */
const catalog = (...args: string[]) => kasmina("catalog", ...args);

async function kasmina(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, {
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
    env: { KASMINA_CATALOG: join(root, "catalog") },
    onSignal: () => () => {},
    exitNow: () => {},
  });
  return { code, out: out.join(""), err: err.join("") };
}

const build = (...args: string[]) =>
  catalog("build", "low-rank", "--engine", "wasm", "--shape", "6", ...args);

describe("kasmina catalog", () => {
  test("build publishes, and the second time finds", async () => {
    const first = await build("--param", "rank=2", "--json");
    const entry = JSON.parse(first.out);
    expect(entry).toMatchObject({
      ref: `low-rank/${entry.sha256}`,
      parameters: { rank: 2 },
      slotShape: [6],
      origin: { kind: "built", initSeed: 0 },
    });
    expect(JSON.parse((await build("--param", "rank=2", "--json")).out)).toEqual(entry);
    const other = JSON.parse((await build("--param", "rank=2", "--init-seed", "1", "--json")).out);
    expect(other.sha256).not.toBe(entry.sha256);
  });

  test("list shows what is there, as a table and as JSON", async () => {
    const { sha256 } = JSON.parse((await build("--json")).out);
    const table = (await catalog("list")).out.trimEnd().split("\n");
    expect(table[0]).toMatch(/^artifact +parameters +slot +p95 ms +origin +maker +signed by$/);
    expect(table[1]).toMatch(
      new RegExp(`^low-rank/${sha256} +rank=8 +\\[6\\] +[0-9.]+ +built +kasmina catalog +nobody$`),
    );
    expect(JSON.parse((await catalog("list", "--json")).out).sha256).toBe(sha256);
  });

  test("verify fails, with what and why, once an artifact is damaged", async () => {
    const { ref } = JSON.parse((await build("--json")).out);
    expect(await catalog("verify")).toEqual({ code: 0, out: `ok  ${ref}\n`, err: "1 sound, 0 not\n" });
    await truncate(join(root, "catalog", ref, "weights.safetensors"), 10);
    const { code, out, err } = await catalog("verify");
    expect([code, err]).toEqual([1, "0 sound, 1 not\n"]);
    expect(out).toMatch(new RegExp(`^BAD ${ref}: artifact: its SHA-256`));
    const json = await catalog("verify", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ ref, ok: false });
  });

  test("add takes a sound artifact over from elsewhere, and nothing else", async () => {
    const { ref } = JSON.parse((await build("--json")).out);
    const elsewhere = ["--catalog", join(root, "other")];
    const source = join(root, "catalog", ref);
    expect((await catalog("add", source, ...elsewhere)).code).toBe(0);
    expect((await catalog("verify", ...elsewhere)).out).toBe(`ok  ${ref}\n`);
    await truncate(join(source, "manifest.json"), 10);
    const damaged = await catalog("add", source, ...elsewhere);
    expect([damaged.code, damaged.err]).toEqual([1, expect.stringContaining("not JSON")]);
  });

  describe("signatures", () => {
    const keys = (name: string) => join(root, `${name}.keys`);
    const newKey = (name: string, ...args: string[]) =>
      kasmina("keys", "new", "--kind", "ed25519", ...args, "--file", keys(name));
    const list = async (...args: string[]) => JSON.parse((await catalog("list", "--json", ...args)).out);

    test("who has the maker's public key takes over what they signed, and nothing else", async () => {
      const { ref } = JSON.parse((await build("--json")).out);
      const source = join(root, "catalog", ref);
      await newKey("maker", "--role", "kernel");
      await kasmina("keys", "new", "--file", keys("ours"));
      await kasmina("keys", "share", keys("ours"), "--file", keys("maker"));
      await kasmina("keys", "new", "--file", keys("stranger"));
      const add = (who: string, to: string) =>
        catalog("add", source, "--require-signature", "--key-file", keys(who), "--catalog", join(root, to));

      expect(await add("ours", "other")).toMatchObject({
        code: 2,
        err: expect.stringMatching(/: it is not signed$/m),
      });
      expect((await catalog("verify", "--require-signature", "--key-file", keys("ours"))).code).toBe(1);
      const signed = await catalog("sign", ref, "--key-file", keys("maker"));
      expect([signed.code, signed.err]).toEqual([0, ""]);
      const { signature } = await list("--key-file", keys("ours"));
      expect(signature).toEqual({ state: "signed", key_id: expect.stringMatching(/^k-/) });
      expect((await list("--key-file", keys("stranger"))).signature.state).toBe("unknown");
      expect((await catalog("verify", "--require-signature", "--key-file", keys("ours"))).code).toBe(0);

      expect(await add("stranger", "other")).toMatchObject({
        code: 2,
        err: expect.stringMatching(/which is not known here$/m),
      });
      expect((await add("ours", "other")).code).toBe(0);
      const elsewhere = ["--catalog", join(root, "other"), "--key-file", keys("ours")];
      expect((await list(...elsewhere)).signature).toEqual(signature);
      expect((await catalog("list", ...elsewhere)).out).toMatch(new RegExp(`${signature.key_id}$`, "m"));
    });

    test("one of another artifact, of a key that is for other things, or of nothing is bad", async () => {
      const first = JSON.parse((await build("--json")).out).ref;
      const second = JSON.parse((await build("--param", "rank=2", "--json")).out).ref;
      await kasmina("keys", "new", "--file", keys("ours"));
      await newKey("policy", "--role", "policy");
      const policy = await catalog("sign", first, "--key-file", keys("policy"));
      expect([policy.code, policy.err]).toEqual([2, expect.stringContaining("is a policy's")]);
      await catalog("sign", first, "--key-file", keys("ours"));
      await cp(join(root, "catalog", first, "signature"), join(root, "catalog", second, "signature"));
      const { code, out } = await catalog("verify", "--key-file", keys("ours"));
      expect([code, out]).toEqual([
        1,
        expect.stringContaining(`BAD ${second}: its signature is not of this artifact`),
      ]);
      const taken = await catalog("add", join(root, "catalog", second), "--catalog", join(root, "other"));
      expect([taken.code, taken.err]).toEqual([2, expect.stringContaining("not of this artifact")]);
      await rm(join(root, "catalog", second, "signature"));
      await symlink(keys("ours"), join(root, "catalog", second, "signature"));
      expect((await catalog("verify", "--key-file", keys("ours"))).out).toMatch(/BAD .*signature/);
      expect((await catalog("list", "--key-file", keys("ours"))).out).toMatch(/does not hold$/m);
    });
  });

  test.each([
    [["build", "nope", "--shape", "6"], /unknown blueprint nope/],
    [["build", "low-rank"], /--shape/],
    [["build", "low-rank", "--shape", "6,x"], /--shape must be whole numbers/],
    [["build", "low-rank", "--shape", "6", "--param", "rank"], /--param must be name=value/],
    [["build", "low-rank", "--shape", "6", "--param", "rank=0"], /rank must be a whole number in 1\.\.512/],
    [["build", "conv-residual", "--shape", "6"], /does not fit a slot of shape \[6\]/],
    [["build", "low-rank", "--shape", "6", "--init-seed", "-1"], /--init-seed must be a whole number/],
    [
      ["build", "low-rank", "--shape", "6", "--engine", "cuda"],
      /--engine must be one of auto, native, wasm, gpu/,
    ],
    [["list"], /there is no catalog at/],
    [["verify"], /there is no catalog at/],
    [["harvest", "nowhere", "seed-1", "--engine", "wasm"], /nowhere/],
    [["frob"], /unknown command 'frob'/],
  ])("%j is wrong use: one line, exit code 2", async (args, message) => {
    const { code, out, err } = await catalog(...args);
    expect(err).toMatch(message);
    expect([code, out, err.trimEnd().split("\n").length]).toEqual([2, "", 1]);
    expect((await readdir(root)).filter((name) => name !== "catalog")).toEqual([]);
  });
});
