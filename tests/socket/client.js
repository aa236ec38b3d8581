// A client as they were written for the original: Node's ws, the token in a header, version 1. Prints what it gets.
const WebSocket = require("ws");

const [url, token, callId] = process.argv.slice(2);
const socket = new WebSocket(url, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
const print = (line) => console.log(JSON.stringify(line));

socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", callId })));
socket.on("message", (data) => {
  const message = JSON.parse(data.toString());
  print(message);
  if (message.type === "connected") socket.send(JSON.stringify({ type: "ping" }));
  if (message.id) {
    socket.send(JSON.stringify({ type: "unsubscribe", callId }));
    socket.close(1000);
  }
});
socket.on("close", (code, reason) => print({ code, reason: reason.toString() }));
socket.on("error", (error) => print({ error: error.message }));
