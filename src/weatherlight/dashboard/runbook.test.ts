import { expect, test } from "vitest";
import { adviceIn, readRunbook } from "./runbook.node.js";

test("the runbook says what to do about what is severe", async () => {
  const runbook = await readRunbook();
  expect(runbook("emergency")).toContain("kasmina emergency clear when it is over");
  expect(runbook("queue_dropped")).toContain("more than 64 events of one seed waited");
  expect(runbook("gate_failure")).toContain("A seed did not pass its gate");
  expect(runbook("no_such_event")).toBeUndefined();
});

test("advice is text: no mark of Markdown is left in it", () => {
  const text = "| `a`, `b` | **What** [is](x.md) | Do `this` |\n\n### S\n\nOf `c`: *look*.\n\nMore.\n";
  expect(adviceIn(text, "b")).toBe("What is. Do this");
  expect(adviceIn(text, "c")).toBe("Of c: look.");
});
