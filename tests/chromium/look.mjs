// Looks at the page with headless Chromium, as people do who have only a keyboard, a narrow screen, no scripts, a printer, or a
// screen reader. Started by .ci/page with the address of a running sandbox, a folder for pictures, and the source of axe-core.
//
// It speaks to Chromium through a pipe and needs nothing but Node; the page itself has no script, whatever is evaluated here.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const [root, pictures, axeFile] = process.argv.slice(2);
const origin = new URL(root).origin;
const axe = axeFile ? readFileSync(axeFile, "utf8") : null;
mkdirSync(pictures, { recursive: true });

const problems = [];
const problem = (text) => { problems.push(text); console.log(`  PROBLEM  ${text}`); };

// Chromium at the other end of a pipe: one JSON object after the other, each ended by a zero.
const arguments_ = ["--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--hide-scrollbars"];
if (process.getuid() === 0) arguments_.push("--no-sandbox");
const chromium = spawn(process.env.CHROMIUM ?? "chromium", arguments_, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const waiting = new Map();
const listeners = [];
let last = 0;
let rest = "";
chromium.stdio[4].on("data", (bytes) => {
  const messages = (rest + bytes).split("\0");
  rest = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id) {
      const { done, failed } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) failed(new Error(JSON.stringify(message.error))); else done(message.result);
    } else {
      for (const listener of [...listeners]) listener(message);
    }
  }
});
let session;
const send = (method, params = {}, to = session) => new Promise((done, failed) => {
  last += 1;
  waiting.set(last, { done, failed });
  chromium.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId: to })}\0`);
});
const once = (method) => new Promise((done) => {
  const listener = (message) => {
    if (message.method !== method) return;
    listeners.splice(listeners.indexOf(listener), 1);
    done(message.params);
  };
  listeners.push(listener);
});

const { targetId } = await send("Target.createTarget", { url: "about:blank" }, undefined);
session = (await send("Target.attachToTarget", { targetId, flatten: true }, undefined)).sessionId;
for (const domain of ["Page", "Network", "Log", "Runtime"]) await send(`${domain}.enable`);
listeners.push(({ method, params }) => {
  if (method === "Network.requestWillBeSent" && /^https?:/.test(params.request.url) && new URL(params.request.url).origin !== origin) {
    problem(`asked somebody else: ${new URL(params.request.url).origin}`);
  }
  if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level) && !/status of 40[04]/.test(params.entry.text)) {
    problem(`the browser complains: ${params.entry.text}`);
  }
});

const evaluate = async (expression) => {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};
const go = async (path) => {
  const loaded = once("Page.loadEventFired");
  await send("Page.navigate", { url: new URL(path, root).href });
  await loaded;
};
const size = (width, height = 900) =>
  send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
const scheme = (value, media = "") =>
  send("Emulation.setEmulatedMedia", { media, features: [{ name: "prefers-color-scheme", value }] });
const scripts = (value) => send("Emulation.setScriptExecutionDisabled", { value: !value });
const press = async (key, code = key, windowsVirtualKeyCode = { Tab: 9, Enter: 13, ArrowDown: 40 }[key], text) => {
  await send("Input.dispatchKeyEvent", { type: "keyDown", key, code, windowsVirtualKeyCode, text });
  await send("Input.dispatchKeyEvent", { type: "keyUp", key, code, windowsVirtualKeyCode });
};
const picture = async (name) => {
  const { cssContentSize } = await send("Page.getLayoutMetrics");
  const clip = { x: 0, y: 0, width: cssContentSize.width, height: Math.min(cssContentSize.height, 6000), scale: 1 };
  const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip });
  writeFileSync(`${pictures}/${name}.png`, Buffer.from(data, "base64"));
};

// Which pages there are: those of the head, each state, a story with everything, a filter that is wrong.
await go("/deliveries");
const story = await evaluate("document.querySelector('.deliveries a').getAttribute('href')");
await go("/list");
const entry = await evaluate("document.querySelector('.references a').getAttribute('href')");
const pages = {
  now: "/", deliveries: "/deliveries", none: "/deliveries?intervention=NONE", wrong: "/deliveries?case=a%20b", story, entry,
  list: "/list", register: "/register", missing: "/nothing-here",
};

console.log("Without scripts, wide and narrow, light and dark; nothing sticks out");
await scripts(false);
for (const [name, path] of Object.entries(pages)) {
  for (const width of [1280, 360, 320]) {
    for (const colours of width === 320 ? ["light"] : ["light", "dark"]) {
      await size(width);
      await scheme(colours);
      await go(path);
      if (width !== 320) await picture(`${name}-${width}-${colours}`);
      const { cssContentSize } = await send("Page.getLayoutMetrics");
      if (cssContentSize.width > width) problem(`${path} is ${cssContentSize.width} wide on a screen of ${width}`);
    }
  }
}
await scripts(true);

if (axe) {
  console.log("With the eyes of axe-core: labels, names, roles, headings, contrast as it is really painted");
  for (const [name, path] of Object.entries(pages)) {
    for (const [width, colours] of [[1280, "light"], [1280, "dark"], [360, "light"], [360, "dark"]]) {
      await size(width);
      await scheme(colours);
      await go(path);
      await evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })");
      await evaluate(`${axe}; undefined`);
      const found = await evaluate(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })"
          + ".then(({ violations, passes }) => (passes.length < 15 ? ['it has hardly looked'] : []).concat(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).slice(0, 3).join(' | ')}`)))",
      );
      for (const violation of found) problem(`${name} at ${width}, ${colours}: ${violation}`);
    }
  }
} else {
  console.log("axe-core is not there: left out");
}

console.log("With the keyboard alone");
await size(1280);
await scheme("light");
// What the Tab key must reach: not what a closed part hides.
const stops = "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
  + ".filter((stop) => stop.tagName === 'SUMMARY' || !stop.closest('details:not([open])'))";
const describe = "(() => { const at = document.activeElement; const style = getComputedStyle(at);"
  + " return { name: at.tagName, text: (at.getAttribute('name') ?? at.textContent).trim(), outline: style.outlineStyle, left: at.getBoundingClientRect().left }; })()";
for (const path of ["/", "/deliveries", "/list", "/register", story]) {
  await go(path);
  const expected = await evaluate(`${stops}.length`);
  const reached = new Set();
  let first;
  for (let n = 0; n < expected + 60 && reached.size < expected; n += 1) {
    await press("Tab");
    const at = await evaluate(describe);
    if (at.name === "BODY") break;
    first ??= at;
    if (at.outline === "none") problem(`${path}: nobody sees that ${at.name} ${at.text} has the keyboard`);
    if (at.left < 0) problem(`${path}: ${at.text} has the keyboard and cannot be seen`);
    reached.add(await evaluate(`${stops}.indexOf(document.activeElement)`));
  }
  if (first?.text !== "To the content") problem(`${path}: the first stop is ${first?.text}`);
  if (reached.size !== expected) problem(`${path}: ${expected - reached.size} of ${expected} cannot be reached by Tab`);
}
await go("/deliveries");
await press("Tab");
await press("Enter", "Enter", 13, "\r");
if (!(await evaluate("document.activeElement.id === 'content'"))) problem("the way to the content does not lead there");
await evaluate("document.getElementById('intervention').focus()");
for (const letter of "SANDBOX-0001") await send("Input.insertText", { text: letter });
const filtered = once("Page.loadEventFired");
await press("Enter", "Enter", 13, "\r");
await filtered;
const found = await evaluate("document.querySelectorAll('.deliveries tbody tr').length");
if (!(await evaluate("location.search")).includes("intervention=SANDBOX-0001") || found < 2) problem("a filter cannot be used with the keyboard alone");
const opened = once("Page.loadEventFired");
await evaluate("document.querySelector('.deliveries a').focus()");
await press("Enter", "Enter", 13, "\r");
await opened;
if (!/^\/deliveries\/\d+$/.test(await evaluate("location.pathname"))) problem("a story cannot be opened with the keyboard alone");

console.log("On paper");
for (const [name, path] of Object.entries({ now: "/", list: "/list", register: "/register", story })) {
  await scheme("dark");
  await go(path);
  const { data } = await send("Page.printToPDF", { printBackground: false, paperWidth: 8.27, paperHeight: 11.69 });
  writeFileSync(`${pictures}/${name}.pdf`, Buffer.from(data, "base64"));
  await scheme("dark", "print");
  await size(794, 1123);
  await picture(`${name}-print`);
  const printed = await evaluate("({ nav: getComputedStyle(document.querySelector('header nav')).display,"
    + " paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color })");
  if (printed.nav !== "none" || printed.paper !== "rgb(255, 255, 255)" || printed.ink !== "rgb(0, 0, 0)") {
    problem(`${path} on paper: ${JSON.stringify(printed)}`);
  }
}

chromium.kill();
console.log(problems.length === 0 ? `All is well. Pictures to look at: ${pictures}` : `${problems.length} problem(s)`);
process.exit(problems.length === 0 ? 0 : 1);
