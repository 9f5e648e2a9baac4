// Runs the Auth emulator of firebase-tools on a loopback port of its own, which it prints, until standard input ends.
// Usage: node auth.mjs <folder with node_modules> <project>
import { createRequire } from "node:module";

const [folder, project] = process.argv.slice(2);
const require = createRequire(`${folder}/`);

// Compiling the description of all 80 routes takes 8 s; of those that tests call, one.
const CALLED = [
  "/v1/accounts:signUp",
  "/v1/accounts:signInWithIdp",
  "/v1/accounts:signInWithPassword",
  "/v1/projects/{targetProjectId}/accounts:delete",
  "/v1/projects/{targetProjectId}/accounts:lookup",
  "/v1/projects/{targetProjectId}/accounts:update",
  "/v1/token",
];
const routes = require("firebase-tools/lib/emulator/auth/apiSpec").default.paths;
for (const path of Object.keys(routes)) {
  if (!CALLED.includes(path)) delete routes[path];
}

const app = await require("firebase-tools/lib/emulator/auth/server").createApp(project);
const server = app.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
