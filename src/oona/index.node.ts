export { Outbox, type OutboxOptions, type OutboxPublish } from "./outbox.js";
export type { RedisAddress } from "./redis/client.js";
export type { TopicLease } from "./redis/lease.js";
export { type BusNotice, type RedisBusOptions, RedisStreamsBus } from "./redis-streams.js";
