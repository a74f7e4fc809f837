import { expect, test } from "vitest";
import { besiege } from "./forgery.fixture.js";

test("of 20,000 forgeries none is accepted, none throws, none evicts a nonce", () => {
  const siege = besiege(1, 20_000);
  expect(siege).toMatchObject({ accepted: 0, evictions: 0 });
  expect(Object.values(siege.rejected).reduce((sum, count) => sum + count, 0)).toBe(20_000);
  expect(Object.keys(siege.rejected)).toEqual(
    expect.arrayContaining(["invalid_signature", "malformed_command", "missing_signature"]),
  );
});
