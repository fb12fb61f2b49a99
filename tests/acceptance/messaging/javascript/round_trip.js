// Everything that nhs-mesh-client offers, used from one mailbox to another; what came of each step is printed as JSON.
// Arguments: the server's URL, and for TLS the files of its authority, of a client certificate and of that one's key.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { getMessageCount, handShake, loadConfig, markAsRead, readMessage, sendChunkedMessage, sendMessage } from "nhs-mesh-client";

const [url, ...files] = process.argv.slice(2);
const [ca, cert, key] = files.map((file) => readFileSync(file));
const agent = new Agent({ ca, cert, key });
const defaults = await loadConfig({ url, logLevel: "SILENT" });
const common = { url, sharedKey: defaults.sharedKey, agent };
const sender = { ...common, mailboxID: defaults.senderMailboxID, mailboxPassword: defaults.senderMailboxPassword };
const receiver = { ...common, mailboxID: defaults.receiverMailboxID, mailboxPassword: defaults.receiverMailboxPassword };
const mailboxTarget = receiver.mailboxID;

const digest = (text) => createHash("sha256").update(text).digest("hex");
const inbox = async () => (await getMessageCount(receiver)).data;
const told = ({ status, data, headers }) => ({
  status,
  sha256: digest(typeof data === "string" ? data : JSON.stringify(data)),
  type: headers["mex-messagetype"],
  from: headers["mex-from"],
  workflow: headers["mex-workflowid"],
  file: headers["mex-filename"],
  chunks: headers["mex-total-chunks"],
});

const text = defaults.messageContent;
// Three chunks: the client splits at 10 MiB.
const large = "NHS number,given,family\n".repeat(1024 * 1024);
const found = {};

found.handshakes = [(await handShake(sender)).status, (await handShake(receiver)).status];
found.refused = (await handShake({ ...sender, mailboxPassword: "wrong" })).response.status;
found.empty = await inbox();

const sent = {
  plain: await sendMessage({ ...sender, mailboxTarget, message: text }),
  gzip: await sendMessage({ ...sender, mailboxTarget, message: text, compressed: true, workFlowId: "NOTE", fileName: "note.gz" }),
  chunked: await sendChunkedMessage({ ...sender, mailboxTarget, fileContent: Buffer.from(large) }),
};
found.sent = Object.values(sent).map(({ status }) => status);
const waiting = await inbox();
found.waiting = { count: waiting.approx_inbox_count, messages: waiting.messages.length };
const first = { plain: sent.plain.data.message_id, gzip: sent.gzip.data.message_id };
found.order = waiting.messages[0] === first.plain && waiting.messages[1] === first.gzip;

found.expected = { text: digest(text), large: digest(large) };
found.read = [];
for (const messageID of waiting.messages) {
  found.read.push(told(await readMessage({ ...receiver, messageID })));
}
found.acknowledged = [];
for (const message of waiting.messages) {
  found.acknowledged.push((await markAsRead({ ...receiver, message })).status);
}
found.left = (await inbox()).messages;
found.missing = (await readMessage({ ...receiver, messageID: "NONE" })).response.status;
found.unknown = await sendMessage({ ...sender, mailboxTarget: "NOBODY", message: text }).catch((error) => error.response.status);

console.log(JSON.stringify(found));
