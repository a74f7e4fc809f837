// One Tamiyo of several: it commands whenever it is shown a state of a run that it believes to be its own.
// Arguments: where Redis is, the id of its key, the time of its leases in ms.
import { KeyRing } from "../dist/contracts/index.js";
import { RedisStreamsBus } from "../dist/oona/index.node.js";
import { TamiyoService } from "../dist/weatherlight/services/index.js";

const [url, keyId, leaseMs] = process.argv.slice(2);
const key = (id, byte) => ({ id, secret: new Uint8Array(32).fill(byte) });
const bus = await RedisStreamsBus.open({ url, name: keyId });
await TamiyoService.open({
  bus,
  keys: new KeyRing([key(keyId, 2), key("trainer", 1)]),
  leaseMs: Number(leaseMs),
  policyFor: () => ({
    version: "persistent-1",
    decide: () => [
      { action: "cull", seedId: "seed-1", expectedStage: "TRAINING", why: "as always", logits: [1, 0] },
    ],
    snapshot: () => null,
    restore: () => undefined,
  }),
});
process.send("ready");
