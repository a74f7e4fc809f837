import { describe, expect, test } from "vitest";
import { JoinTable } from "./join-table.js";
import { deferred } from "./promises.js";

describe("work in flight", () => {
  test("is done once for all who ask for the same, and anew for who asks later", async () => {
    const table = new JoinTable<number>();
    let started = 0;
    const start = async (): Promise<number> => ++started;
    const together = [table.join("a", start), table.join("a", start), table.join("b", start)];
    expect([table.size, table.joined]).toEqual([2, 1]);
    expect(await Promise.all(together)).toEqual([1, 1, 2]);
    expect(table.size).toBe(0);
    expect(await table.join("a", start)).toBe(3);
  });

  test("goes on while somebody waits, and is stopped by the last who leaves", async () => {
    const table = new JoinTable<number>();
    let stopped = false;
    const never = (signal: AbortSignal): Promise<number> => {
      signal.addEventListener("abort", () => {
        stopped = true;
      });
      return new Promise(() => undefined);
    };
    const leaving = [new AbortController(), new AbortController()];
    const waiting = leaving.map(({ signal }) => table.join("a", never, signal));
    leaving[0]?.abort();
    await expect(waiting[0]).rejects.toMatchObject({ code: "canceled" });
    expect([stopped, table.size]).toEqual([false, 1]);
    leaving[1]?.abort();
    await expect(waiting[1]).rejects.toMatchObject({ code: "canceled" });
    expect([stopped, table.size]).toEqual([true, 0]);
  });

  test("that fails fails for all, and is forgotten", async () => {
    const table = new JoinTable<number>();
    const failing = deferred<number>();
    const waiting = [1, 2].map(() => table.join("a", () => failing.promise));
    failing.reject(new Error("no"));
    for (const each of waiting) await expect(each).rejects.toThrow("no");
    expect(await table.join("a", async () => 1)).toBe(1);
  });

  test("that is complete is not stopped", async () => {
    const table = new JoinTable<number>();
    let signalled: AbortSignal | undefined;
    await table.join("a", async (signal) => {
      signalled = signal;
      return 1;
    });
    expect(signalled?.aborted).toBe(false);
  });
});
