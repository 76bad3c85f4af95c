// Prints {"parsed": bool, "diagnostics": [...]} for the AsyncAPI document named by the first argument.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify({
  parsed: document !== undefined,
  messages: document ? document.allMessages().all().length : 0,
  operations: document ? document.allOperations().all().length : 0,
  diagnostics: diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("."), message })),
}));
