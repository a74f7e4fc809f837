/**
 * A GPU for tests where there is none: SwiftShader, a Vulkan driver on the CPU that comes with Chromium. A machine with a driver of
 * its own is tested on that, where `KASMINA_GPU=1` says so.
 */
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";

/** Where Debian's package has the driver's description and the Vulkan loader. */
const DRIVER = "/usr/lib/chromium/vk_swiftshader_icd.json";
const LOADER = "/usr/lib/chromium/libvulkan.so.1";

/** glibc's: what was loaded stays. Node unloads at once what is no module of its own. */
const RTLD_NODELETE = 0x1000;

/** Loads the Vulkan loader under its own name, so that whoever looks for it in this process finds it. */
function loadVulkan(): void {
  try {
    process.dlopen({ exports: {} }, LOADER, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    // It is no module of Node's, as said. Whether it is there, the first session finds out.
  }
}

function findAdapter(): string | undefined {
  if (process.env.KASMINA_GPU === "1") return "the system's";
  if (existsSync(DRIVER) && existsSync(LOADER)) {
    process.env.VK_ICD_FILENAMES = DRIVER;
    loadVulkan();
    return "SwiftShader";
  }
  const missing = `${DRIVER} is not there (Debian: chromium), and KASMINA_GPU=1 does not name a GPU`;
  if ((process.env.KASMINA_REQUIRE ?? "").split(",").includes("gpu"))
    throw new Error(`${missing}, and KASMINA_REQUIRE asks for gpu`);
  console.warn(`skipped: ${missing}`);
  return undefined;
}

/** By which another process finds it. */
export const adapterEnvironment: Readonly<Record<string, string>> =
  process.env.KASMINA_GPU === "1" ? {} : { VK_ICD_FILENAMES: DRIVER, LD_LIBRARY_PATH: dirname(LOADER) };

/** What the tests run on, found before the first session of the process; undefined where there is nothing. */
export const adapter = findAdapter();
