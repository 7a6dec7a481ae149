// Who listens to the server, so that many tabs hold one stream?

const CHANNEL = "cyclorama-events";
const TYPES = ["queued", "started", "progress", "preview", "image", "image_failed", "done", "resync", "bye"];
const LONGEST = 15000;

/**
 * Call `hear(event)` for what happens to jobs, in whichever tab it arrives, and `connect(open)` when the stream
 * comes or goes. The tab that holds the lock listens; when it closes, another takes over and asks for what it missed.
 */
export function listen(hear, connect) {
  const channel = new BroadcastChannel(CHANNEL);
  const take = ({ event, open }) => (event ? hear(event) : connect(open));
  channel.onmessage = ({ data }) => take(data);
  const tell = (message) => {
    channel.postMessage(message);
    take(message);
  };
  const lead = () => new Promise(() => follow(tell));
  if (navigator.locks) navigator.locks.request(CHANNEL, lead);
  else lead();
}

function follow(tell, wait = 1000) {
  const source = new EventSource("/v1/events");
  source.onopen = () => {
    wait = 1000;
    tell({ open: true });
  };
  const receive = (message) => tell({ event: { type: message.type, ...JSON.parse(message.data || "{}") } });
  for (const type of TYPES) source.addEventListener(type, receive);
  source.onerror = () => {
    tell({ open: false });
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    setTimeout(() => follow(tell, Math.min(LONGEST, wait * 2)), wait);
  };
}
