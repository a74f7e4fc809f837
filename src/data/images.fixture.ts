/** Images for tests: of two or more classes that their colour tells apart, of mixed sizes, PNG and JPEG. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";

/** One colour, of a size and a format that follow from `i`. */
export async function imageOf(colour: string, i: number, name = "x.png"): Promise<Uint8Array> {
  const create = {
    width: 12 + (i % 5) * 7,
    height: 10 + (i % 3) * 9,
    channels: 3,
    background: colour,
  } as const;
  const image = sharp({ create });
  return name.endsWith(".png") ? image.png().toBuffer() : image.jpeg().toBuffer();
}

/** Writes `<folder>/<class>/<i>.png|jpg`, as many of each class. */
export async function writeClasses(
  folder: string,
  colours: Readonly<Record<string, string>>,
  each: number,
): Promise<void> {
  for (const [name, colour] of Object.entries(colours))
    for (let i = 0; i < each; i++) {
      const file = `${i}.${i % 2 === 0 ? "png" : "jpg"}`;
      await write(join(folder, name, file), await imageOf(colour, i, file));
    }
}

export async function write(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}
