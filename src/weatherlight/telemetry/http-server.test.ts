import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HttpServer, parseAddress } from "./http-address.js";
import { serveHttp } from "./http-server.node.js";

const PATHS = {
  "/metrics": () => ({ type: "text/plain", text: "seeds 3\n" }),
  "/broken": async () => Promise.reject(new Error("no figures")),
};

let server: HttpServer;
beforeAll(async () => {
  server = await serveHttp(PATHS, parseAddress("127.0.0.1:0"));
});
afterAll(() => server.close());

/** Status and text of an answer. */
function ask(
  path: string,
  { method = "GET", host = "", at = server } = {},
): Promise<readonly [number, string]> {
  const { hostname, port } = new URL(`http://${at.address}`);
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

describe("a server", () => {
  test("serves its paths and nothing else", async () => {
    expect(await ask("/metrics")).toEqual([200, "seeds 3\n"]);
    expect((await ask("/metrics?x=1"))[0]).toBe(200);
    expect(await ask("/metrics", { method: "HEAD" })).toEqual([200, ""]);
    for (const path of ["/", "/../etc/passwd", "/constructor", "/__proto__"])
      expect(await ask(path)).toEqual([404, '{"error":"there are /metrics, /broken"}\n']);
    expect(await ask("/metrics", { method: "POST" })).toEqual([405, '{"error":"GET only"}\n']);
  });

  test("outlives an answer that fails", async () => {
    expect(await ask("/broken")).toEqual([500, '{"error":"no figures"}\n']);
    expect((await ask("/metrics"))[0]).toBe(200);
  });

  test("of this machine is not read by a page of the web under another name", async () => {
    expect((await ask("/metrics", { host: "evil.example" }))[0]).toBe(403);
    expect((await ask("/metrics", { host: "localhost:1" }))[0]).toBe(200);
  });

  test("that others reach goes by whatever name they have for it", async () => {
    const open = await serveHttp(PATHS, parseAddress("0.0.0.0:0"));
    expect((await ask("/metrics", { host: "trainer-3:9464", at: open }))[0]).toBe(200);
    await open.close();
  });

  test("says where it cannot listen", async () => {
    await expect(serveHttp(PATHS, parseAddress(server.address))).rejects.toThrow(
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
