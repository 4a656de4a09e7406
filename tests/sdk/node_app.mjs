// What a Node app does with the official SDKs; prints one JSON object with what it saw.
import OpenAI, { toFile } from "openai";
import Anthropic from "@anthropic-ai/sdk";

const messages = [{ role: "user", content: "What is the weather in Paris?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const openai = new OpenAI();
const anthropic = new Anthropic();
const seen = {};

const whole = await openai.chat.completions.create({ model: "sim/echo", messages });
seen.chat = whole.choices[0].message.content;

const stream = await openai.chat.completions.create({ model: "sim/echo", messages, stream: true });
seen.streamed = "";
seen.usageInStream = false;
for await (const chunk of stream) {
  seen.streamed += chunk.choices[0]?.delta?.content ?? "";
  seen.usageInStream ||= Boolean(chunk.usage) || chunk.choices.length === 0;
}

const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const called = await openai.chat.completions.create({ model: "sim/tools", messages, tools });
seen.tool = called.choices[0].message.tool_calls[0].function.name;

const response = await openai.responses.create({ model: "sim/chat", input: "Hello" });
seen.response = response.status;

const vectors = await openai.embeddings.create({ model: "sim/chat", input: ["a", "b"] });
seen.vectors = vectors.data.length;

const file = await openai.files.create({ file: await toFile(Buffer.alloc(300000, 7), "x.bin"), purpose: "batch" });
seen.file = file.id;

const message = await anthropic.messages.create({ model: "echo", max_tokens: 50, messages });
seen.message = message.content[0].text;
const events = anthropic.messages.stream({ model: "echo", max_tokens: 50, messages });
seen.messageStreamed = await events.finalText();

try {
  await new OpenAI({ apiKey: process.env.BAD_KEY }).chat.completions.create({ model: "sim/chat", messages });
} catch (error) {
  seen.refused = [error.status, error.code];
}
console.log(JSON.stringify(seen));
