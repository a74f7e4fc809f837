import { expect, test } from "vitest";
import { isHangupIgnored } from "./io.js";

const none = "Name:\tbash\nSigIgn:\t0000000000000004\n";
const hangup = "Name:\tsh\nSigIgn:\t0000000000000001\n";
const all = "Name:\tsh\nSigIgn:\tfffffffe7ffbfeff\n";

test.each([
  ["in a terminal", { _: "/usr/bin/node" }, none, false],
  ["without /proc", {}, undefined, false],
  ["under nohup", { _: "/usr/bin/nohup" }, none, true],
  ["under nohup, found by its name", { _: "nohup" }, undefined, true],
  ["under something that ends in nohup", { _: "/opt/not-nohup" }, none, false],
  ["in a script under nohup", { _: "/usr/bin/node" }, hangup, true],
  ["of a parent that ignores nearly everything", {}, all, true],
])("%s", (_, env, status, ignored) => expect(isHangupIgnored(env, () => status)).toBe(ignored));
