// Does what a dashboard would: everything through Connect's own client, with the contract read at run time.
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

const { base, key, target } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const contract = new Uint8Array(await (await fetch("/contract")).arrayBuffer());
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, contract));

function client(service, { useBinaryFormat = false, proof = `Bearer ${key}` } = {}) {
  const signed = next => request => {
    if (proof) request.header.set("Authorization", proof);
    return next(request);
  };
  const transport = createConnectTransport({ baseUrl: base, useBinaryFormat, interceptors: [signed] });
  return createClient(registry.getService(`monitord.v1.${service}`), transport);
}

async function refused(call) {
  try {
    await call;
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const details = name => error.findDetails(registry.getMessage(`google.rpc.${name}`));
    return {
      code: Code[error.code],
      message: error.rawMessage,
      reasons: details("ErrorInfo").map(info => `${info.domain}/${info.reason}`),
      violations: details("BadRequest").flatMap(bad => bad.fieldViolations.map(each => each.field)),
    };
  }
  return "not refused";
}

const shop = { name: "made by a page", interval: { seconds: 1n }, kind: { case: "http", value: { url: target } } };
const wrong = { name: "", interval: { seconds: 1n }, kind: { case: "http", value: { url: "gopher://example.org" } } };

if (!key) {
  await tell("a page that may not call", await refused(client("MonitorService").listMonitors({})));
} else {
  const { monitor } = await client("MonitorService", { useBinaryFormat: true }).createMonitor({ monitor: shop });
  await tell("created", { id: monitor.id, url: monitor.kind.value.url });
  const { monitors } = await client("MonitorService").listMonitors({});
  await tell("listed", monitors.map(each => each.name));
  for (const useBinaryFormat of [false, true]) {
    await tell("wrong", await refused(client("MonitorService", { useBinaryFormat }).createMonitor({ monitor: wrong })));
  }
  await tell("unknown", await refused(client("MonitorService", { proof: "" }).getMonitor({ id: monitor.id })));

  const logs = client("CheckLogService");
  const rows = [];
  for await (const message of logs.tailCheckLogs({ monitorIds: [monitor.id] })) {
    if (message.event.case === "checkLog") rows.push(message);
    if (rows.length === 2) break; // leaving the loop ends the stream
  }
  await tell("rows", rows.map(each => ({ monitor: each.event.value.monitorId, verdict: each.event.value.verdict })));

  const again = { monitorIds: [monitor.id], start: { case: "cursor", value: rows[0].cursor } };
  let cursor = "", resumed = false;
  for await (const message of client("CheckLogService", { useBinaryFormat: true }).tailCheckLogs(again)) {
    if (message.event.case === "checkLog" && !resumed) {
      resumed = true;
      await tell("resumed", message.event.value.sequence === rows[1].event.value.sequence);
    }
    if (message.event.case === "end") {
      await tell("end", { reason: message.event.value.reason, before: cursor, cursor: message.cursor });
    }
    cursor = message.cursor;
  }
  await tell("closed", true);
}
