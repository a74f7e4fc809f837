import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkNamedDrivers } from "./vulkan-drivers.js";

describe.runIf(process.platform === "linux")("a Vulkan driver that the environment names", () => {
  let folder = "";
  let driver = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "kasmina-icd-"));
    driver = join(folder, "card.json");
    await writeFile(driver, "{}");
    await writeFile(join(folder, "notes.txt"), "");
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("is taken where it is there, also as one of several", () => {
    for (const VK_ICD_FILENAMES of ["", driver, `/nowhere/a.json:${driver}`])
      expect(() => checkNamedDrivers({ VK_ICD_FILENAMES }, [])).not.toThrow();
    expect(() => checkNamedDrivers({}, [])).not.toThrow();
  });

  test("is one error where it is not, which names those that are", () => {
    const given = { VK_ICD_FILENAMES: "/nowhere/a.json:/nowhere/b.json" };
    expect(() => checkNamedDrivers(given, ["/nowhere", folder])).toThrow(
      `VK_ICD_FILENAMES names no Vulkan driver that is there (/nowhere/a.json, /nowhere/b.json); this machine has ${driver}`,
    );
    expect(() => checkNamedDrivers(given, ["/nowhere"])).toThrow(/this machine has none in \/nowhere$/);
  });

  test("is that of the newer variable where both are set, as for the loader", () => {
    const given = { VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: "/nowhere/a.json" };
    expect(() => checkNamedDrivers(given, [])).toThrow(/^VK_DRIVER_FILES names no Vulkan driver/);
  });
});
