import { describe, expect, test } from "vitest";
import { commandWords } from "./names.js";
import { KEY_ROLES, mayOrder, mayPublish } from "./roles.js";
import { STREAMS } from "./streams.js";

const COMMAND_KINDS = commandWords.words;

describe("what a key is good for", () => {
  const kindsOf = (role: (typeof KEY_ROLES)[number]) => COMMAND_KINDS.filter((kind) => mayOrder(role, kind));

  test("follows from its role", () => {
    expect(kindsOf("operator")).toEqual(COMMAND_KINDS);
    expect(kindsOf("policy")).toEqual(["SEED"]);
    expect(kindsOf("safety")).toEqual(["EMERGENCY"]);
    expect([kindsOf("kernel"), kindsOf("trainer")]).toEqual([[], []]);
  });

  test("one without a role may do everything", () => {
    expect(COMMAND_KINDS.every((kind) => mayOrder(undefined, kind))).toBe(true);
  });

  test("each stream but that of commands has one role that publishes to it", () => {
    for (const { context } of Object.values(STREAMS)) {
      const roles = KEY_ROLES.filter((role) => mayPublish(role, context));
      expect(roles).toHaveLength(context === STREAMS.commands.context ? 0 : 1);
    }
  });
});
