// One rule that Biome lacks: cyclomatic complexity of the command path (Biome has cognitive complexity alone). It reads
// the compiled JavaScript, whose branches are those of the TypeScript, so that no TypeScript parser is needed.
const COMMAND_PATH = [
  "**/kasmina/commands/*.js",
  "**/kasmina/security/*.js",
  "**/kasmina/*.js",
  "**/kasmina/changes/*.js",
  "**/kasmina/state/*.js",
  "**/kasmina/gates/*.js",
];
const ENTRY_POINTS = ["**/kasmina/commands/command-ingress.js", "**/kasmina/commands/dispatcher.js"];

export default [
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: COMMAND_PATH, rules: { complexity: ["error", 10] } },
  { files: ENTRY_POINTS, rules: { complexity: ["error", 5] } },
];
