export { type Bus, type BusLimits, DEFAULT_BUS_LIMITS, type DeadLetter, type GroupStats } from "./bus.js";
export { MemoryBus, type MemoryBusOptions } from "./memory.js";
