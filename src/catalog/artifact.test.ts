import { describe, expect, test } from "vitest";
import { concatBytes, KasminaError, sha256Hex, utf8 } from "../base/index.js";
import { encodeSafetensors, float32, int32, type Tensors } from "../contracts/index.js";
import { builtinBlueprints, initKernel } from "../nn/index.js";
import {
  type Artifact,
  type ArtifactContent,
  artifactDigest,
  openArtifact,
  packArtifact,
} from "./artifact.js";

function contentOf(changes: Partial<ArtifactContent> = {}): ArtifactContent {
  return {
    blueprint: "low-rank",
    parameters: { rank: 1 },
    form: "delta",
    slotShape: [2],
    tensors: initKernel(builtinBlueprints.get("low-rank"), [2], { rank: 1 }, 7),
    prewarm: { p50Ms: 0.25, p95Ms: 0.5, batch: 32, engine: "wasm" },
    creator: "test",
    origin: { kind: "built", initSeed: 7 },
    ...changes,
  };
}

const small = packArtifact(contentOf());

/** Opens files under whatever digest they come to, as an attacker would present them. */
function openAsPresented(manifestBytes: Uint8Array, weightsBytes: Uint8Array): void {
  openArtifact(manifestBytes, weightsBytes, artifactDigest(manifestBytes, weightsBytes));
}

function isRefused(manifestBytes: Uint8Array, weightsBytes: Uint8Array): boolean {
  try {
    openArtifact(manifestBytes, weightsBytes, small.sha256);
    return false;
  } catch (error) {
    return error instanceof KasminaError && error.code === "corrupt";
  }
}

describe("an artifact", () => {
  test("holds what it was packed from", () => {
    const { manifest, tensors } = openArtifact(small.manifestBytes, small.weightsBytes, small.sha256);
    expect(tensors).toEqual(contentOf().tensors);
    expect(manifest).toMatchObject({ blueprint: "low-rank", parameters: { rank: 1 }, slotShape: [2] });
    expect(manifest.weights.shapes).toEqual({ a: [1, 2], b: [2, 1] });
  });

  test("has an id that depends on its content alone, not on the order of the weights", () => {
    const { a, b } = contentOf().tensors;
    if (!a || !b) throw new Error("low-rank has a and b");
    expect(packArtifact(contentOf({ tensors: { b, a } })).sha256).toBe(small.sha256);
    expect(packArtifact(contentOf({ creator: "other" })).sha256).not.toBe(small.sha256);
  });

  test("moving bytes from one file to the other changes the digest", () => {
    const all = concatBytes(small.manifestBytes, small.weightsBytes);
    const at = small.manifestBytes.length - 1;
    expect(artifactDigest(all.slice(0, at), all.slice(at))).not.toBe(small.sha256);
  });

  test("every change of one byte, to every value, in either file, is refused", () => {
    let accepted = 0;
    for (const file of ["manifestBytes", "weightsBytes"] as const) {
      const bytes = small[file].slice();
      const changed: Artifact = { ...small, [file]: bytes };
      for (let at = 0; at < bytes.length; at++) {
        const original = bytes[at] ?? 0;
        for (let flip = 1; flip < 256; flip++) {
          bytes[at] = original ^ flip;
          if (!isRefused(changed.manifestBytes, changed.weightsBytes)) accepted++;
        }
        bytes[at] = original;
      }
    }
    expect(accepted).toBe(0);
  });

  test("every truncation and every byte too many is refused", () => {
    const { manifestBytes, weightsBytes } = small;
    for (let length = 0; length < manifestBytes.length; length++)
      expect(isRefused(manifestBytes.subarray(0, length), weightsBytes)).toBe(true);
    for (let length = 0; length < weightsBytes.length; length++)
      expect(isRefused(manifestBytes, weightsBytes.subarray(0, length))).toBe(true);
    for (let value = 0; value < 256; value++) {
      expect(isRefused(concatBytes(manifestBytes, Uint8Array.of(value)), weightsBytes)).toBe(true);
      expect(isRefused(manifestBytes, concatBytes(weightsBytes, Uint8Array.of(value)))).toBe(true);
    }
  });
});

describe("an artifact made by an attacker, with a digest that fits, is refused", () => {
  const text = new TextDecoder().decode(small.manifestBytes);
  const withManifest = (change: (text: string) => string): [Uint8Array, Uint8Array] => [
    utf8(change(text)),
    small.weightsBytes,
  ];
  const withWeights = (weightsBytes: Uint8Array): [Uint8Array, Uint8Array] => {
    const manifest = JSON.parse(text) as { weights: Record<string, unknown> };
    manifest.weights.bytes = weightsBytes.length;
    manifest.weights.sha256 = sha256Hex(weightsBytes);
    return [utf8(JSON.stringify(manifest)), weightsBytes];
  };
  const weights = (tensors: Tensors): [Uint8Array, Uint8Array] => withWeights(encodeSafetensors(tensors));
  const { a, b } = contentOf().tensors;
  if (!a || !b) throw new Error("low-rank has a and b");

  test("but a sound one under a new digest is not", () => {
    expect(() => openAsPresented(...weights({ a, b }))).not.toThrow();
  });

  test.each<[string, [Uint8Array, Uint8Array], RegExp]>([
    ["weights that are not the manifest's", [small.manifestBytes, encodeSafetensors({ a })], /not those/],
    ["a weight missing", weights({ a }), /names a,b/],
    ["a weight too many", weights({ a, b, c: a }), /holds the weights/],
    ["a weight of another shape", weights({ a: float32([2, 1]), b }), /float32\[1,2\]/],
    ["a weight of another dtype", weights({ a: int32([1, 2], [0, 0]), b }), /int32/],
    ["a weight that is NaN", weights({ a: float32([1, 2], [Number.NaN, 0]), b }), /not finite/],
    [
      "a weight that is infinite",
      weights({ a: float32([1, 2], [0, Number.NEGATIVE_INFINITY]), b }),
      /not finite/,
    ],
    [
      "weights with a huge header",
      withWeights(concatBytes(new Uint8Array(8).fill(0xff), new Uint8Array(64))),
      /are allowed/,
    ],
    ["weights that are no safetensors", withWeights(utf8("code()")), /safetensors/],
    ["a manifest that is not JSON", withManifest(() => "{"), /not JSON/],
    ["a manifest that is a list", withManifest(() => "[]"), /manifest/],
    ["a duplicate key", withManifest((it) => it.replace('"form"', '"blueprint": "x", "form"')), /duplicate/],
    ["an unknown key", withManifest((it) => it.replace('"form"', '"code": "x", "form"')), /code/],
    ["another format", withManifest((it) => it.replace("artifact.v1", "artifact.v2")), /format/],
    ["a blueprint that climbs", withManifest((it) => it.replace('"low-rank"', '"../x"')), /blueprint/],
    ["a parameter that is no number", withManifest((it) => it.replace('"rank": 1', '"rank": "1"')), /rank/],
    ["a parameter that is infinite", withManifest((it) => it.replace('"rank": 1', '"rank": 1e999')), /rank/],
    [
      "a parameter for the prototype",
      withManifest((it) => it.replace('"rank": 1', '"__proto__": 1')),
      /__proto__/,
    ],
    ["a negative latency", withManifest((it) => it.replace("0.25", "-1")), /p50Ms/],
    ["a latency that is infinite", withManifest((it) => it.replace("0.25", "1e999")), /p50Ms/],
    ["an unknown form", withManifest((it) => it.replace('"delta"', '"eval"')), /form/],
    ["an unknown origin", withManifest((it) => it.replace('"built"', '"found"')), /origin/],
    ["a byte order mark", withManifest((it) => `\uFEFF${it}`), /not JSON/],
    ["a manifest without end", withManifest((it) => it + " ".repeat(64 * 1024)), /are allowed/],
    [
      "a manifest that is not UTF-8",
      [concatBytes(small.manifestBytes, Uint8Array.of(0xff)), small.weightsBytes],
      /UTF-8/,
    ],
  ])("%s", (_name, files, message) => {
    expect(() => openAsPresented(...files)).toThrow(message);
    expect(() => openAsPresented(...files)).toThrow(KasminaError);
  });

  test.each<[string, Partial<ArtifactContent>]>([
    ["NaN weights", { tensors: { a: float32([1], Number.NaN) } }],
    ["a blueprint id that is no folder name", { blueprint: "A/B" }],
    ["a latency that is NaN", { prewarm: { p50Ms: Number.NaN, p95Ms: 1, batch: 1, engine: "x" } }],
    ["no creator", { creator: "" }],
  ])("and cannot be packed here either: %s", (_name, changes) => {
    expect(() => packArtifact(contentOf(changes))).toThrow(/cannot be an artifact/);
  });
});
