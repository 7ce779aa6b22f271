// Frames as the agent sends them, for the tests.

export const welcome = (fields = {}) => ({
  type: "welcome",
  head: 0,
  model: "anthropic/claude",
  queued: [],
  turn: null,
  ...fields,
});

export const record = (sequence, turn, item) => ({
  type: "record",
  record: { sequence, at_ms: 1_000 * sequence, turn, item },
});

export const user = (event, text, channel = "web") => ({ type: "user", channel, event, text });

export const assistant = (blocks, stop = "end_turn") => ({
  type: "assistant",
  blocks,
  stop,
  model: "anthropic/claude",
  usage: { input_tokens: 100, output_tokens: 10, cache_read_tokens: 1_000, cache_write_tokens: 0 },
});

export const text = (content) => ({ type: "text", text: content });

export const toolCall = (call, name, args) => ({ type: "tool_call", call, name, arguments: args });

export const finished = (call, status, output = "") => ({
  type: "tool_finished",
  call,
  status,
  output,
  duration_ms: 5,
});

export const turnEnded = (result = "completed", problem = undefined) => ({
  type: "turn_ended",
  outcome: problem ? { result, problem } : { result },
});
