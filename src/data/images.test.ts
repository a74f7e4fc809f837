import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../base/errors.js";
import { imageOf, write, writeClasses } from "./images.fixture.js";
import { openDataset } from "./index.js";
import { readUnseen } from "./unseen.js";

const COLOURS = { blue: "#0000ff", red: "#ff0000" };
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-images-"));
});
afterAll(() => rm(root, { recursive: true }));

const folder = (): Promise<string> => mkdtemp(join(root, "f-"));

describe("a folder of class folders", () => {
  test("gives images of one size, with the names of its folders as classes", async () => {
    const dir = await folder();
    await writeClasses(dir, COLOURS, 20);
    const data = await openDataset(`images:${dir}?size=8`);
    expect([data.inputShape, data.classNames]).toEqual([
      [8, 8, 3],
      ["blue", "red"],
    ]);
    expect([data.train.count, data.heldOut.count, data.test.count]).toEqual([29, 3, 8]);
    expect(data.images).toEqual({ size: 8, channels: 3, mean: 0, deviation: 255, layout: "NHWC" });
    const { inputs, labels, count, scale } = data.test;
    expect(scale).toBe(1 / 255);
    for (let row = 0; row < count; row++) {
      const [red = 0, , blue = 0] = inputs.subarray(row * 192, row * 192 + 3);
      expect(labels[row] === 1 ? red : blue).toBeGreaterThan(250);
      expect(labels[row] === 1 ? blue : red).toBeLessThan(5);
    }
  });

  test("is the same data each time, whatever stands in its hidden files", async () => {
    const dir = await folder();
    await writeClasses(dir, COLOURS, 6);
    const before = await openDataset(`images:${dir}?size=4`);
    await write(join(dir, "red", ".DS_Store"), "x");
    await write(join(dir, "red", "Thumbs.db"), "x");
    const { train, test: last } = await openDataset(`images:${dir}?size=4`);
    expect([train, last]).toEqual([before.train, before.test]);
  });

  test("may be split already", async () => {
    const dir = await folder();
    for (const [split, each] of [
      ["train", 6],
      ["validation", 2],
      ["test", 3],
    ] as const)
      await writeClasses(join(dir, split), COLOURS, each);
    const { train, heldOut, test: last } = await openDataset(`images:${dir}?size=4&channels=1`);
    expect([train.count, heldOut.count, last.count]).toEqual([12, 4, 6]);
    expect(train.inputs.length).toBe(12 * 16);
  });

  test("that is called as what a table lacks is a class like any other", async () => {
    const dir = await folder();
    await writeClasses(dir, { NA: "#888888", null: "#000000" }, 6);
    expect((await openDataset(`images:${dir}?size=2`)).classNames).toEqual(["NA", "null"]);
  });

  test.each([
    ["metadata.csv", "file_name,kind\nsub/a.png,1\nb.jpg,0\nc.png,1\nd.png,0\n"],
    [
      "metadata.jsonl",
      ["sub/a.png", "b.jpg", "c.png", "d.png"]
        .map((file, i) => JSON.stringify({ file_name: file, kind: (i + 1) % 2 }))
        .join("\n"),
    ],
  ])("may say its labels in %s", async (file, text) => {
    const dir = await folder();
    for (const image of ["sub/a.png", "b.jpg", "c.png", "d.png"])
      await write(join(dir, "train", image), await imageOf("#888888", 1, image));
    await write(join(dir, "train", file), text);
    await writeClasses(join(dir, "test"), { 0: "#000000", 1: "#ffffff" }, 1);
    await writeClasses(join(dir, "val"), { 0: "#000000", 1: "#ffffff" }, 1);
    const { train, classNames } = await openDataset(`images:${dir}?size=2&label=kind`);
    expect([...train.labels]).toEqual([1, 0, 1, 0]);
    expect(classNames).toEqual(["0", "1"]);
  });
});

describe("an image", () => {
  const how = {
    inputShape: [4, 4, 3],
    task: "classification",
    classes: 2,
    classNames: ["blue", "red"],
  } as const;
  const images = (channels: 1 | 3) =>
    ({ size: 4, channels, mean: 0, deviation: 255, layout: "NHWC" }) as const;
  const pixels = async (path: string, channels: 1 | 3 = 3): Promise<number[]> => {
    const { inputs } = await readUnseen(`images:${path}`, { ...how, images: images(channels) }, false);
    return [...inputs];
  };

  test.each([
    [
      "of grey",
      sharp({ create: { width: 9, height: 6, channels: 3, background: "#808080" } })
        .toColourspace("b-w")
        .png(),
    ],
    [
      "of 16 bits",
      sharp({ create: { width: 9, height: 6, channels: 3, background: "#808080" } })
        .toColourspace("rgb16")
        .png(),
    ],
    [
      "of four inks",
      sharp({ create: { width: 9, height: 6, channels: 3, background: "#808080" } })
        .toColourspace("cmyk")
        .jpeg(),
    ],
    [
      "that lets white through",
      sharp({
        create: { width: 9, height: 6, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 127 / 255 } },
      }).png(),
    ],
  ])("%s becomes bytes of red, green and blue, or of grey", async (_, image) => {
    const path = join(await folder(), "one.png");
    await write(path, await image.toBuffer());
    const colours = await pixels(path);
    expect(colours.length).toBe(48);
    for (const value of colours) expect(Math.abs(value - 128)).toBeLessThan(20);
    expect((await pixels(path, 1)).length).toBe(16);
  });

  test("is turned as its camera was, and cut to its middle", async () => {
    const left = await sharp({ create: { width: 8, height: 8, channels: 3, background: "#000000" } })
      .png()
      .toBuffer();
    const path = join(await folder(), "turned.jpg");
    const wide = sharp({ create: { width: 16, height: 8, channels: 3, background: "#ffffff" } });
    // Black on the left half; turned by a quarter clockwise, black is above.
    await write(
      path,
      await wide
        .composite([{ input: left, left: 0, top: 0 }])
        .withMetadata({ orientation: 6 })
        .jpeg({ quality: 100 })
        .toBuffer(),
    );
    const grey = await pixels(path, 1);
    expect(grey.slice(0, 4).every((value) => value < 60)).toBe(true);
    expect(grey.slice(12).every((value) => value > 195)).toBe(true);
  });

  test("has the same pixels alone, in a folder, and in a dataset", async () => {
    const dir = await folder();
    await writeClasses(dir, COLOURS, 3);
    const all = await readUnseen(`images:${dir}`, { ...how, images: images(3) }, true);
    const unlabelled = await readUnseen(`images:${dir}`, { ...how, images: images(3) }, false);
    expect(all.inputs).toEqual(unlabelled.inputs);
    expect([...(all.labels ?? [])]).toEqual([0, 0, 0, 1, 1, 1]);
    expect(unlabelled.files).toEqual([
      "blue/0.png",
      "blue/1.jpg",
      "blue/2.png",
      "red/0.png",
      "red/1.jpg",
      "red/2.png",
    ]);
    expect(await pixels(join(dir, "red", "1.jpg"))).toEqual([...unlabelled.inputs.subarray(4 * 48, 5 * 48)]);
  });
});

describe("refused, in one line that names the file", () => {
  const good = (dir: string): Promise<void> => writeClasses(dir, COLOURS, 4);
  const png = (): Promise<Uint8Array> => imageOf("#00ff00", 3);
  type Case = readonly [
    what: string,
    make: (dir: string) => Promise<unknown>,
    options: string,
    message: RegExp,
  ];
  const CASES: readonly Case[] = [
    [
      "a folder that is not there",
      async (dir) => rm(dir, { recursive: true }),
      "",
      /cannot read images:.*no such file or folder/,
    ],
    ["an empty folder", async () => undefined, "", /has no class folders/],
    [
      "images without a class",
      async (dir) => write(join(dir, "a.png"), await png()),
      "",
      /a\.png has no class/,
    ],
    [
      "an image beside class folders",
      async (dir) => {
        await good(dir);
        await write(join(dir, "a.png"), await png());
      },
      "",
      /a\.png has no class/,
    ],
    [
      "an empty class folder",
      async (dir) => {
        await good(dir);
        await write(join(dir, "green", ".keep"), "");
      },
      "",
      /green has no images/,
    ],
    [
      "one class",
      (dir) => writeClasses(dir, { red: "#ff0000" }, 4),
      "",
      /the label "label" is red in every row/,
    ],
    [
      "a folder within a class",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "more", "a.png"), await png());
      },
      "",
      /more is a folder within a class folder/,
    ],
    [
      "a text that is called an image",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.png"), "hello");
      },
      "",
      /red\/a\.png is neither PNG nor JPEG/,
    ],
    [
      "an empty file",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.jpg"), "");
      },
      "",
      /red\/a\.jpg is neither PNG nor JPEG/,
    ],
    [
      "SVG that is called an image",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.png"), '<svg xmlns="http://www.w3.org/2000/svg"/>');
      },
      "",
      /a\.png is neither PNG nor JPEG/,
    ],
    [
      "a truncated PNG",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.png"), (await png()).subarray(0, 60));
      },
      "",
      /red\/a\.png is no image that can be read/,
    ],
    [
      "a truncated JPEG",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.jpg"), (await imageOf("#00ff00", 3, "x.jpg")).subarray(0, 150));
      },
      "",
      /red\/a\.jpg is no image that can be read/,
    ],
    [
      "a truncated gzip",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.png"), new Uint8Array([0x1f, 0x8b, 8, 0]));
      },
      "",
      /a\.png is not a complete gzip file/,
    ],
    [
      "another format",
      async (dir) => {
        await good(dir);
        await write(join(dir, "red", "a.webp"), await png());
      },
      "",
      /a\.webp is no image: \.png, \.jpg and \.jpeg are read/,
    ],
    [
      "a link",
      async (dir) => {
        await good(dir);
        await symlink("/etc/hostname", join(dir, "red", "a.png"));
      },
      "",
      /a\.png is neither a file nor a folder/,
    ],
    [
      "a class that no training image has",
      async (dir) => {
        await good(join(dir, "train"));
        await writeClasses(join(dir, "test"), { green: "#00ff00" }, 1);
      },
      "",
      /test\/green\/0\.png is of class "green", which is none of the classes blue, red/,
    ],
    [
      "a folder beside the splits",
      async (dir) => {
        await good(join(dir, "train"));
        await good(join(dir, "extra"));
      },
      "",
      /extra is no split/,
    ],
    [
      "metadata without file_name",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "name,label\na.png,1\n");
      },
      "",
      /metadata\.csv has no column "file_name"/,
    ],
    [
      "metadata without the label",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "file_name\nred/0.png\n");
      },
      "",
      /metadata\.csv has no column "label"/,
    ],
    [
      "metadata of an image that is not there",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "file_name,label\nred/0.png,1\n../b.png,0\n");
      },
      "",
      /metadata\.csv: row 2, column "file_name": there is no image "\.\.\/b\.png"/,
    ],
    [
      "metadata with an image twice",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "file_name,label\nred/0.png,1\nred/0.png,0\n");
      },
      "",
      /row 2, column "file_name".*a row before names it/,
    ],
    [
      "metadata without a label in a row",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "file_name,label\nred/0.png,NA\n");
      },
      "",
      /metadata\.csv: row 1, column "label": red\/0\.png has no label/,
    ],
    [
      "two kinds of metadata",
      async (dir) => {
        await good(dir);
        await write(join(dir, "metadata.csv"), "a\n");
        await write(join(dir, "metadata.jsonl"), "{}");
      },
      "",
      /has metadata\.csv, metadata\.jsonl/,
    ],
    ["a size of 0", good, "?size=0", /size=0 is out of range/],
    ["two channels", good, "?channels=2", /channels=2 is out of range/],
    ["an option of tables", good, "?target=x", /unknown option "target" of data images/],
  ];

  test.each(CASES)("%s", async (_, make, options, message) => {
    const dir = await folder();
    await make(dir);
    const error: unknown = await openDataset(`images:${dir}${options}`).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(KasminaError);
    expect((error as KasminaError).message).toMatch(message);
    expect((error as KasminaError).message).not.toContain("\n");
  });
});
