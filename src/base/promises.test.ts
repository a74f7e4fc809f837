import { expect, test, vi } from "vitest";
import { KasminaError } from "./errors.js";
import { abortable } from "./promises.js";

test("passes on what the promise comes to", async () => {
  const { signal } = new AbortController();
  expect(await abortable(Promise.resolve(1), signal)).toBe(1);
  expect(await abortable(Promise.resolve(2), undefined)).toBe(2);
  await expect(abortable(Promise.reject(new Error("no")), signal)).rejects.toThrow("no");
});

test("is given up when the signal aborts, before or after", async () => {
  await expect(abortable(new Promise(() => {}), AbortSignal.abort())).rejects.toMatchObject({
    code: "canceled",
  });
  const controller = new AbortController();
  const waiting = abortable(new Promise(() => {}), controller.signal);
  controller.abort(new KasminaError("timeout", "too late"));
  await expect(waiting).rejects.toMatchObject({ code: "timeout", message: "too late" });
});

test("lets go of the signal once it is done", async () => {
  const { signal } = new AbortController();
  const removed = vi.spyOn(signal, "removeEventListener");
  await abortable(Promise.resolve(1), signal);
  expect(removed).toHaveBeenCalledOnce();
});
