"""What most contents have in common: zstd refers to it instead of storing it again with each call.

The shapes of the APIs' requests, answers and streams and the headers around them, with the commonest last: what is nearest is cheapest to
refer to. Stored contents cannot be read without it, so it is never changed: a better one gets the next number (see `content`).
"""

import zstandard

_GEMINI = (
    '{"contents":[{"role":"user","parts":[{"text":"'
    '"}]}],"systemInstruction":{"parts":[{"text":"'
    '"}]},"generationConfig":{"temperature":0.7,"maxOutputTokens":1024,"responseMimeType":"application/json","responseSchema":{"type":"OBJECT"'
    '{"candidates":[{"content":{"parts":[{"text":"'
    '"}],"role":"model"},"finishReason":"STOP","index":0,"safetyRatings":[{"category":"HARM_CATEGORY_HATE_SPEECH","probability":"NEGLIGIBLE"}]}],'
    '"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":20,"totalTokenCount":30,"cachedContentTokenCount":0,"thoughtsTokenCount":0,'
    '"promptTokensDetails":[{"modality":"TEXT","tokenCount":10}]},"modelVersion":"gemini-2.5-flash","responseId":"'
)
_ANTHROPIC = (
    '{"model":"claude-sonnet-4-5","max_tokens":4096,"system":[{"type":"text","text":"","cache_control":{"type":"ephemeral"}}],"messages":['
    '{"role":"user","content":[{"type":"text","text":"'
    '"},{"type":"tool_result","tool_use_id":"toolu_01","content":"'
    '"}]}],"tools":[{"name":"","description":"","input_schema":{"type":"object","properties":{}}}],"stream":true}'
    '{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"'
    '"},{"type":"tool_use","id":"toolu_01","name":"","input":{}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,'
    '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    '"ephemeral_1h_input_tokens":0},"output_tokens":20,"service_tier":"standard"}}'
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant"}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    'event: ping\ndata: {"type":"ping"}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
    '"}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"'
    '"}}\n\nevent: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\ndata: {"type":"message_delta",'
    '"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":20}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_RESPONSES = (
    '{"model":"gpt-5","input":[{"role":"user","content":[{"type":"input_text","text":"'
    '"}]}],"instructions":"","reasoning":{"effort":"medium"},"store":true,"previous_response_id":"resp_'
    '{"id":"resp_","object":"response","created_at":1700000000,"status":"completed","background":false,"error":null,"incomplete_details":null,'
    '"max_output_tokens":null,"output":[{"id":"rs_","type":"reasoning","summary":[]},{"id":"msg_","type":"message","status":"completed",'
    '"role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"'
    '"}]}],"parallel_tool_calls":true,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_p":1.0,'
    '"truncation":"disabled","usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":0},"output_tokens":20,'
    '"output_tokens_details":{"reasoning_tokens":0},"total_tokens":30},"user":null,"metadata":{}}'
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_","output_index":0,'
    '"content_index":0,"delta":"","logprobs":[],"obfuscation":"'
)
_CHAT_STREAM = (
    'data: {"id":"chatcmpl-","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default",'
    '"system_fingerprint":"fp_","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,'
    '"finish_reason":null}],"usage":null,"obfuscation":"'
    '"}\n\ndata: {"id":"chatcmpl-","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,'
    '"delta":{"tool_calls":[{"index":0,"id":"call_","type":"function","function":{"name":"","arguments":"'
    '"}}]},"logprobs":null,"finish_reason":null}]}\n\ndata: {"id":"chatcmpl-","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},'
    '"logprobs":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
_HEADERS = (
    "host api.openai.com api.anthropic.com accept application/json accept-encoding gzip, deflate, br, zstd connection keep-alive user-agent "
    "OpenAI/Python AsyncOpenAI/Python Anthropic/Python OpenAI/JS python-httpx x-api-key anthropic-version 2023-06-01 x-stainless-lang python "
    "x-stainless-package-version x-stainless-os Linux x-stainless-arch x64 x-stainless-runtime CPython x-stainless-runtime-version "
    "x-stainless-async false x-stainless-retry-count 0 x-stainless-read-timeout 600 authorization *** content-length transfer-encoding chunked "
    'date Mon, 01 Jan 2026 00:00:00 GMT server cloudflare cf-cache-status DYNAMIC cf-ray alt-svc h3=":443"; ma=86400 set-cookie __cf_bm=; path=/; '
    "expires=; domain=.api.openai.com; HttpOnly; Secure; SameSite=None strict-transport-security max-age=31536000; includeSubDomains; preload "
    "x-content-type-options nosniff access-control-expose-headers X-Request-ID openai-organization openai-processing-ms openai-project "
    "openai-version 2020-10-01 x-envoy-upstream-service-time x-ratelimit-limit-requests x-ratelimit-limit-tokens x-ratelimit-remaining-requests "
    "x-ratelimit-remaining-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens x-request-id req_ vary Accept-Encoding cache-control no-cache "
    "content-type text/event-stream; charset=utf-8 content-encoding gzip content-type application/json "
)
_CHAT_PRETTY = (
    '{\n  "id": "chatcmpl-",\n  "object": "chat.completion",\n  "created": 1700000000,\n  "model": "gpt-4o-mini-2024-07-18",\n  "choices": [\n    {\n'
    '      "index": 0,\n      "message": {\n        "role": "assistant",\n        "content": "'
    '",\n        "refusal": null,\n        "annotations": []\n      },\n      "logprobs": null,\n      "finish_reason": "stop"\n    }\n  ],\n'
    '  "usage": {\n    "prompt_tokens": 10,\n    "completion_tokens": 20,\n    "total_tokens": 30,\n    "prompt_tokens_details": {\n'
    '      "cached_tokens": 0,\n      "audio_tokens": 0\n    },\n    "completion_tokens_details": {\n      "reasoning_tokens": 0,\n'
    '      "audio_tokens": 0,\n      "accepted_prediction_tokens": 0,\n      "rejected_prediction_tokens": 0\n    }\n  },\n'
    '  "service_tier": "default",\n  "system_fingerprint": "fp_"\n}\n'
)
_CHAT = (
    '{"error":{"message":"","type":"invalid_request_error","param":null,"code":null}}'
    '{"id":"chatcmpl-","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":'
    '"assistant","content":null,"tool_calls":[{"id":"call_","type":"function","function":{"name":"","arguments":"{}"}}],"refusal":null},"logprobs":'
    'null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":'
    '{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"system_fingerprint":"fp_"}'
    '{"messages":[{"role":"system","content":"You are a helpful assistant.'
    '"},{"role":"user","content":[{"type":"text","text":"'
    '"},{"type":"image_url","image_url":{"url":"data:image/png;base64,'
    '"}}]},{"role":"tool","tool_call_id":"call_","content":"'
    '"}],"model":"gpt-4o-mini","max_tokens":1024,"temperature":0.7,"top_p":1,"n":1,"stream":true,"stream_options":{"include_usage":true},"tools":'
    '[{"type":"function","function":{"name":"","description":"","parameters":{"type":"object","properties":{"query":{"type":"string","description":'
    '""}},"required":["query"],"additionalProperties":false},"strict":true}}],"tool_choice":"auto","response_format":{"type":"json_schema",'
    '"json_schema":{"name":"","schema":{}}}}'
    '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"'
)

_TEXT = _GEMINI + _ANTHROPIC + _RESPONSES + _CHAT_STREAM + _HEADERS + _CHAT_PRETTY + _CHAT
FIRST = zstandard.ZstdCompressionDict(_TEXT.encode(), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
