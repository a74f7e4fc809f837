import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LogPoint } from "./log-points.js";
import type { LoggedRun } from "./log-target.js";
import { MlflowTarget } from "./mlflow.node.js";
import { MlflowStub } from "./mlflow-stub.fixture.js";

const AT = 1_700_000_000_000;
const RUN: LoggedRun = {
  folder: "/none",
  runId: "run-1",
  config: {
    data: `csv:${"x".repeat(2_000)}`,
    epochs: 3,
    growth: true,
    slots: ["block1", "block2"],
    teacher: null,
    limits: { kernel: { latencyBudgetMs: 5 } },
  },
  startedMs: AT,
  firstStep: 0,
};
const { signal } = new AbortController();
const scalar = (tag: string, step: number, value: number): LogPoint => ({
  kind: "scalar",
  tag,
  step,
  atMs: AT,
  value,
});

let stub: MlflowStub;
let url: string;
beforeEach(async () => {
  stub = new MlflowStub();
  url = await stub.listen();
});
afterEach(() => stub.close());

const target = (at = url): MlflowTarget =>
  new MlflowTarget({ url: new URL(at), experiment: "flowers & co", authorization: "Bearer secret" });

describe("a run", () => {
  test("is one of MLflow's, with its options, its curves and its end", async () => {
    const mlflow = target(`${url}/`);
    await mlflow.open(RUN, signal);
    await mlflow.write(
      [
        scalar("loss/train", 2, 0.5),
        { kind: "note", tag: "events/run", step: 2, atMs: AT, lines: ["it began"] },
        scalar("loss/train", 4, Number.NaN),
        scalar("alpha/seed-1.a_b", 4, Number.NEGATIVE_INFINITY),
      ],
      signal,
    );
    await mlflow.close("finished", AT + 5, signal);
    expect([...stub.experiments.keys()]).toEqual(["flowers & co"]);
    const [run] = stub.runs;
    expect(run).toMatchObject({ name: "run-1", status: "FINISHED", endTime: AT + 5 });
    expect(Object.fromEntries(run?.params ?? [])).toEqual({
      data: `csv:${"x".repeat(496)}`,
      epochs: "3",
      growth: "true",
      slots: '["block1","block2"]',
      "limits.kernel.latencyBudgetMs": "5",
    });
    expect(run?.metrics).toEqual([
      { key: "loss/train", value: 0.5, timestamp: AT, step: 2 },
      { key: "loss/train", value: "NaN", timestamp: AT, step: 4 },
      { key: "alpha/seed-1.a_b", value: "-Infinity", timestamp: AT, step: 4 },
    ]);
    expect(stub.refused).toEqual(["RESOURCE_DOES_NOT_EXIST: no such experiment"]);
    expect([...stub.authorizations]).toEqual(["Bearer secret"]);
  });

  test("that is resumed goes on in the same run, and another one beside it in the same experiment", async () => {
    const first = target();
    await first.open(RUN, signal);
    await first.close("interrupted", AT, signal);
    expect(stub.runs[0]).toMatchObject({ status: "KILLED" });
    const again = target();
    await again.open(RUN, signal);
    expect(stub.runs[0]).toMatchObject({ status: "RUNNING" });
    await again.close("failed", AT, signal);
    await target().open({ ...RUN, runId: "run-2" }, signal);
    expect(stub.runs.map(({ name, status }) => [name, status])).toEqual([
      ["run-1", "FAILED"],
      ["run-2", "RUNNING"],
    ]);
    expect(stub.experiments.size).toBe(1);
  });

  test("may have more options than one request takes", async () => {
    const config = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`option${i}`, i]));
    await target().open({ ...RUN, config }, signal);
    expect(stub.runs[0]?.params.size).toBe(250);
  });

  test("finds the experiment that another run has made meanwhile", async () => {
    stub.instead = (_, response) => {
      stub.instead = undefined;
      stub.experiments.set("flowers & co", "7");
      response.writeHead(404);
      response.end('{"error_code":"RESOURCE_DOES_NOT_EXIST"}');
    };
    await target().open(RUN, signal);
    expect(stub.runs[0]?.experiment).toBe("7");
  });
});

describe("a server", () => {
  test.each([
    [503, "<html>", "unavailable", "answers experiments/get-by-name with HTTP 503"],
    [429, "", "unavailable", "with HTTP 429"],
    [200, "<html>", "invalid_data", "as no MLflow does (HTTP 200)"],
    [404, "nothing here", "invalid_data", "as no MLflow does (HTTP 404)"],
    [403, '{"error_code":"PERMISSION_DENIED","message":"no"}', "illegal_state", "PERMISSION_DENIED: no"],
    [200, `"${"x".repeat(2_000_000)}"`, "invalid_data", "an answer of more than 1048576 bytes"],
  ])("that answers %i %.12s is not believed", async (status, body, code, message) => {
    stub.instead = (_, response) => {
      response.writeHead(status);
      response.end(body);
    };
    await expect(target().open(RUN, signal)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test("that is not there is named, without what the URL may hide", async () => {
    await stub.close();
    await expect(target(`${url}/?token=secret`).open(RUN, signal)).rejects.toMatchObject({
      code: "unavailable",
      message: `cannot reach ${url}: ECONNREFUSED`,
    });
    stub = new MlflowStub();
    await stub.listen();
  });

  test("that sends elsewhere is not followed with our authorization", async () => {
    stub.instead = (_, response) => {
      response.writeHead(302, { location: `${url}/elsewhere` });
      response.end();
    };
    await expect(target().open(RUN, signal)).rejects.toMatchObject({ code: "unavailable" });
    expect(stub.requests).toBe(1);
  });

  test("that never answers is left when its time is over", async () => {
    stub.instead = () => undefined;
    const late = new AbortController();
    const asked = target().open(RUN, late.signal);
    late.abort(new Error("too late"));
    await expect(asked).rejects.toThrow("too late");
  });
});
