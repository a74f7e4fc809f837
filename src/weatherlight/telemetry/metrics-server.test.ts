import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MetricsServer, parseAddress, serveMetrics } from "./metrics-server.node.js";
import { PrometheusExporter } from "./prometheus.node.js";

let server: MetricsServer;
beforeAll(async () => {
  server = await serveMetrics(new PrometheusExporter(), parseAddress("127.0.0.1:0"));
});
afterAll(() => server.close());

/** Status and text of an answer. */
function ask(path: string, { method = "GET", host = "" } = {}): Promise<readonly [number, string]> {
  const { hostname, port } = new URL(`http://${server.address}`);
  return new Promise((resolve, reject) => {
    const headers = host === "" ? {} : { host };
    request({ hostname, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve([response.statusCode ?? 0, text]));
    })
      .on("error", reject)
      .end();
  });
}

describe("the metrics server", () => {
  test("serves /metrics and nothing else", async () => {
    expect((await ask("/metrics"))[1]).toContain("# HELP kasmina_seeds_active");
    expect((await ask("/metrics?x=1"))[0]).toBe(200);
    expect(await ask("/")).toEqual([404, "there is /metrics\n"]);
    expect(await ask("/../etc/passwd")).toEqual([404, "there is /metrics\n"]);
    expect(await ask("/metrics", { method: "POST" })).toEqual([405, "GET only\n"]);
  });

  test("is not read by a page of the web under another name", async () => {
    expect((await ask("/metrics", { host: "evil.example" }))[0]).toBe(403);
    expect((await ask("/metrics", { host: "localhost:1" }))[0]).toBe(200);
  });

  test("says where it cannot listen", async () => {
    await expect(serveMetrics(new PrometheusExporter(), parseAddress(server.address))).rejects.toThrow(
      /cannot listen on 127\.0\.0\.1/,
    );
  });
});

test.each(["", "host", "host:", "host:99999", "a b:1", "[::1:1"])("%j is no address", (text) => {
  expect(() => parseAddress(text)).toThrow("expected host:port");
});

test("an address of IPv6 has brackets, and a port alone is of this machine", () => {
  expect(parseAddress("9464")).toEqual({ host: "127.0.0.1", port: 9464 });
  expect(parseAddress("[::1]:9464")).toEqual({ host: "::1", port: 9464 });
});
