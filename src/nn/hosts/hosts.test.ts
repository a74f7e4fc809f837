import { expect, test } from "vitest";
import { slotsOf } from "../host.js";
import { createHost } from "./index.js";

const IMAGES = { inputShape: [8, 8], classes: 3 };
const TOKENS = { inputShape: [6], inputDType: "int32", classes: 9 } as const;

test.each([
  ["resmlp", IMAGES, "resmlp", [[16], [16]]],
  ["resmlp:width=16", IMAGES, "resmlp", [[16], [16]]],
  ["resmlp:blocks=3,width=32", IMAGES, "resmlp:width=32,blocks=3", [[32], [32], [32]]],
  ["resconv:width=4,blocks=1", IMAGES, "resconv:width=4,blocks=1", [[2, 2, 4]]],
  ["charlm:heads=2,width=8,blocks=1", TOKENS, "charlm:width=8,blocks=1,heads=2", [[6, 8]]],
] as const)("%s has one name and the sizes in it", (name, task, id, slots) => {
  const host = createHost(name, task);
  expect(host.id).toBe(id);
  expect(slotsOf(host).map(({ shape }) => shape)).toEqual(slots);
  expect(createHost(host.id, task).id).toBe(id);
});

test.each([
  ["vgg", /unknown host vgg; known: resmlp, resconv, charlm/],
  ["constructor", /unknown host/],
  ["resmlp:depth=3", /"depth=3" is no size of it; resmlp:width=16,blocks=2 are its own/],
  ["resmlp:width=0", /"width=0" is no size/],
  ["resmlp:width=1e3", /is no size/],
  ["resmlp:width=8,width=9", /"width=9" is no size/],
  ["resmlp:width", /is no size/],
  ["resmlp:", /is no size/],
  ["resmlp:width=99999", /is no size/],
  ["charlm:heads=3", /must be a multiple of heads 3/],
])("%s is refused", (name, problem) => {
  expect(() => createHost(name, name.startsWith("charlm") ? TOKENS : IMAGES)).toThrow(problem);
});
