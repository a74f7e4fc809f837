import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { readParquet } from "./parquet.node.js";

/** A page says nothing of its sizes: hyparquet's place in it is no number then, and it reads its first byte for ever. */
const ENDLESS =
  "UEFSMRUGFcABFW5cAAAAFkAVBBUUFRhMFQQVAAAACiQBAAAAeQEAAAB4FQYVCBUMXBUYFQAVGBUQFQAVAAAABAwBBbYNFQQVGhUeTBUEFQAAAA0wAgAAAG5vAwAAAHllczUGFQgVDFwVGBUAFRgVEBUAFQAAAAQMAQWqChUEGUxIBHJvb3QVBgAVCiUAGAFhABUMJQAYAWIlAAAVDCUAGAVsYWJlbCUAABYYGRwZPCYICDw2ACgIAAAAAAAAFkANCAASDQgkFEAAAAAAAAAWQBUEFRQVGEwVBBUAAAAKJAEAAAB5AQAAAHgVBhUIFQxcFRgVABUYFRAVABUAAAAEDAEFtg0VBBUaFR5MFQQVAAAADTACAAAAbm8DAAAAeWVzFQYVCBUMXBUYFQAVGBUQFQAVAAAABAwBBaoKFQQZTEgEcm9vdBUGABUKJQgYAWEAFQwlABgBYiUAABUMJQAYBWxhYmVsJQAAFhgZHBk8JggcFQoZFQAZGAFhFQIWGBbsARaaASYIPDYAKAgAAAAAAAAWQBgIAAAAAAAAAIA2AAAZHBUGFQAVAgAAACaiARwVDBklABAZGAFiFQIWGBZgFmgm1AEmogEcNgAoAXkYAXgAGSwVBBUAFQIAFQYVEBUCAAAAJooCHBUMGSUAEBkYBWxhYmVsFQIWGBZmFm4mwgImigIcNgAoA3llcxgCbm8AGSwVBBUAFQIAFQYVEBUCAAAAFrIDFhg28AIAKAloeXBhcnF1ZXQZPBwAABwAABwAAAAHAQAAUEFSMQ==";

test("a file that is decoded for ever is given up, and others are read as before, side by side", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kasmina-parquet-"));
  const [endless, sound] = [join(folder, "endless.parquet"), join(folder, "sound.parquet")];
  await writeFile(endless, Buffer.from(ENDLESS, "base64"));
  const columnData = [{ name: "x", data: [1, 2, 3] }];
  await writeFile(sound, new Uint8Array(parquetWriteBuffer({ columnData })));
  const reading = [sound, endless, sound].map((path) => readParquet(path, "data"));
  const [one, none, other] = await Promise.allSettled(reading);
  const table = { columns: ["x"], records: [["1"], ["2"], ["3"]] };
  expect([one, other]).toMatchObject([{ value: table }, { value: table }]);
  expect(none).toMatchObject({
    reason: {
      code: "invalid_data",
      message: "data is no Parquet file that can be read: it cannot be decoded in any time: it is damaged",
    },
  });
  expect(await readParquet(sound, "data")).toMatchObject(table);
  await rm(folder, { recursive: true });
});
