export {
  DurableJournal,
  type JournalMark,
  type JournalOptions,
  type JournalStorage,
} from "./security/durable-journal.js";
export { openJournal } from "./security/journal.node.js";
