export {
  DurableJournal,
  type JournalMark,
  type JournalOptions,
  type JournalStorage,
} from "./security/durable-journal.js";
export { type FoundJournal, openJournal, readJournal } from "./security/journal.node.js";
