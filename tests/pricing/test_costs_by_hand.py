"""What calls cost, worked out by hand from the prices that providers publish.

Each row is a usage object as the provider sends it, and beside it the arithmetic: tokens times US dollars for a million, summed up in
millionths of a dollar, and what that is in dollars. Fees for one thing are written as millionths too (a search for a cent is `1*10000`).
Prices: the providers' pages, as ../shared/reference/pricing.md section 1.2 has them, 2026-11-20.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from domain.calls import Call, Usage
from pricing.book import PriceBook
from pricing.costing import cost_of
from pricing.usage import anthropic, media, openai
from pricing.usage import gemini as google
from tests.pricing.shapes import chat, gemini, heard, image, message, plain, realtime, response

PICO = 10**12
BOOK = PriceBook.packaged()


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 10**9


NOW = at(2026, 11, 18, 12)  # a Wednesday


def told(raw, **more):
    return openai.usage_of(raw, **more)


def claude(raw, **more):
    return anthropic.usage_of(raw, **more)


def native(raw, **more):
    return google.usage_of(raw, **more)


OPENAI_CHAT = [
    ("openai", "gpt-4o", told(chat(1_000, 500)), "1000*2.5 + 500*10", "0.0075"),
    ("openai", "gpt-4o", told(chat(10_000, 100, cached=8_192)), "1808*2.5 + 8192*1.25 + 100*10", "0.01576"),
    ("openai", "gpt-4o-2024-08-06", told(chat(1, 1)), "1*2.5 + 1*10", "0.0000125"),
    ("openai", "gpt-4o-2024-11-20", told(plain(3, 0)), "3*2.5", "0.0000075"),
    ("openai", "gpt-4o-2024-05-13", told(chat(2_000, 1_000)), "2000*5 + 1000*15", "0.025"),
    ("openai", "chatgpt-4o-latest", told(chat(100, 100)), "100*5 + 100*15", "0.002"),
    (
        "openai",
        "gpt-4o-mini-2024-07-18",
        told(chat(1_200, 80, cached=1_024, reasoning=32)),
        "176*0.15 + 1024*0.075 + 80*0.6",
        "0.0001512",
    ),
    ("openai", "gpt-4o-mini", told(chat(0, 0)), "0*0.15 + 0*0.6", "0"),
    ("openai", "gpt-4.1", told(chat(50_000, 2_000, cached=40_000)), "10000*2 + 40000*0.5 + 2000*8", "0.056"),
    ("openai", "gpt-4.1-mini", told(chat(123, 456)), "123*0.4 + 456*1.6", "0.0007788"),
    ("openai", "gpt-4.1-nano", told(chat(7, 11)), "7*0.1 + 11*0.4", "0.0000051"),
    ("openai", "gpt-3.5-turbo-0125", told(plain(1_000, 1_000)), "1000*0.5 + 1000*1.5", "0.002"),
    ("openai", "gpt-4-turbo-2024-04-09", told(plain(1_000, 1_000)), "1000*10 + 1000*30", "0.04"),
    ("openai", "o1", told(chat(1_000, 3_000, reasoning=2_500)), "1000*15 + 3000*60", "0.195"),
    ("openai", "o3-mini", told(chat(400, 900, cached=384, reasoning=512)), "16*1.1 + 384*0.55 + 900*4.4", "0.0041888"),
    ("openai", "o3", told(chat(1_000, 1_000, reasoning=640)), "1000*2 + 1000*8", "0.01"),
    ("openai", "o4-mini", told(chat(2_000, 700, cached=1_536)), "464*1.1 + 1536*0.275 + 700*4.4", "0.0040128"),
    ("openai", "gpt-5", told(chat(9_000, 1_500, cached=6_000, reasoning=1_024)), "3000*1.25 + 6000*0.125 + 1500*10", "0.0195"),
    ("openai", "gpt-5-2025-08-07", told(chat(13, 87, reasoning=64)), "13*1.25 + 87*10", "0.00088625"),
    ("openai", "gpt-5-mini", told(chat(999, 1)), "999*0.25 + 1*2", "0.00025175"),
    ("openai", "gpt-5-nano", told(chat(1, 0)), "1*0.05", "0.00000005"),
    ("openai", "gpt-5.2", told(chat(1_000, 200, cached=500)), "500*1.75 + 500*0.175 + 200*14", "0.0037625"),
    ("openai", "gpt-5.4-mini", told(chat(640, 320)), "640*0.75 + 320*4.5", "0.00192"),
    ("openai", "openai/gpt-4o", told(chat(10, 10)), "10*2.5 + 10*10", "0.000125"),
    ("openai", "gpt-5.2-20251211", told(chat(100, 10)), "100*1.75 + 10*14", "0.000315"),
    # at the threshold the lower price counts, one token beyond it the higher one, for all tokens
    ("openai", "gpt-5.4", told(chat(272_000, 10)), "272000*2.5 + 10*15", "0.68015"),
    ("openai", "gpt-5.4", told(chat(272_001, 10)), "272001*5 + 10*22.5", "1.36023"),
    ("openai", "gpt-5.5", told(chat(300_000, 1_000, cached=100_000)), "200000*10 + 100000*1 + 1000*45", "2.145"),
    ("openai", "gpt-6.1-sol", told(chat(272_000, 1_000, cached=271_000)), "1000*2 + 271000*0.1 + 1000*10", "0.0391"),
    (
        "openai",
        "gpt-6.1-sol",
        told(chat(300_000, 1_000, cached=200_000, written=50_000)),
        "50000*4 + 200000*0.2 + 50000*5 + 1000*15",
        "0.505",
    ),
    # writes to the cache are inside the input
    ("openai", "gpt-6-luna", told(chat(4_020, 5, written=4_012)), "8*0.1 + 4012*0.125 + 5*0.5", "0.0005048"),
    (
        "openai",
        "gpt-5.6-sol",
        told(chat(10_000, 100, cached=2_000, written=3_000)),
        "5000*4 + 2000*0.4 + 3000*5 + 100*20",
        "0.0378",
    ),
    # audio inside input and output, each at its own price
    ("openai", "gpt-audio", told(chat(150, 300, audio_in=100, audio_out=250)), "50*2.5 + 100*32 + 50*10 + 250*64", "0.019825"),
    (
        "openai",
        "gpt-4o-audio-preview",
        told(chat(150, 300, audio_in=100, audio_out=250)),
        "50*2.5 + 100*40 + 50*10 + 250*80",
        "0.024625",
    ),
    ("openai", "gpt-4o-audio-preview-2024-10-01", told(chat(10, 10, audio_in=10, audio_out=10)), "10*100 + 10*200", "0.003"),
    (
        "openai",
        "gpt-4o-mini-audio-preview-2024-12-17",
        told(chat(20, 20, audio_in=10, audio_out=20)),
        "10*0.15 + 10*10 + 20*20",
        "0.0005015",
    ),
    # fine-tuned
    (
        "openai",
        "ft:gpt-4o-mini-2024-07-18:acme::9xyz",
        told(chat(1_000, 100, cached=500)),
        "500*0.3 + 500*0.15 + 100*1.2",
        "0.000345",
    ),
    (
        "openai",
        "ft:gpt-4.1-2025-04-14:acme:sup:abc",
        told(chat(1_000, 1_000, cached=200)),
        "800*3 + 200*0.75 + 1000*12",
        "0.01455",
    ),
    ("openai", "ft:gpt-4.1-nano-2025-04-14:acme::x", told(chat(1_000, 1_000)), "1000*0.2 + 1000*0.8", "0.001"),
    ("openai", "ft:gpt-3.5-turbo-0125:acme::x", told(plain(1_000, 1_000)), "1000*3 + 1000*6", "0.009"),
    # rejected predictions are billed as output, and are inside it
    (
        "openai",
        "gpt-4o",
        told(chat(100, 90) | {"completion_tokens_details": {"rejected_prediction_tokens": 40}}),
        "100*2.5 + 90*10",
        "0.00115",
    ),
]

OPENAI_TIERS = [
    ("openai", "gpt-5", told(chat(1_000, 1_000), tier="default"), "1000*1.25 + 1000*10", "0.01125"),
    ("openai", "gpt-5", told(chat(1_000, 1_000), tier="flex"), "1000*0.625 + 1000*5", "0.005625"),
    ("openai", "gpt-5", told(chat(1_000, 1_000, cached=800), tier="flex"), "200*0.625 + 800*0.0625 + 1000*5", "0.005175"),
    ("openai", "gpt-5", told(chat(1_000, 1_000), tier="priority"), "1000*2.5 + 1000*20", "0.0225"),
    ("openai", "gpt-4o", told(chat(1_000, 1_000, cached=400), tier="priority"), "600*4.25 + 400*2.125 + 1000*17", "0.0204"),
    ("openai", "gpt-4o-mini", told(chat(1_000, 1_000), tier="priority"), "1000*0.25 + 1000*1", "0.00125"),
    ("openai", "gpt-4o", replace(told(chat(1_000, 1_000)), batch=True), "1000*1.25 + 1000*5", "0.00625"),
    ("openai", "gpt-5", replace(told(chat(1_000, 1_000, cached=400)), batch=True), "600*0.625 + 400*0.0625 + 1000*5", "0.0054"),
    ("openai", "gpt-6.1-sol", told(chat(300_000, 100), tier="flex"), "300000*2 + 100*7.5", "0.60075"),
    ("openai", "gpt-6.1-sol", told(chat(1_000, 100), tier="priority"), "1000*4 + 100*20", "0.006"),
    ("openai", "gpt-6.1-sol", told(chat(1_000, 100, cached=500), tier="ultrafast"), "500*12 + 500*0.6 + 100*60", "0.0123"),
    ("openai", "gpt-6-astra", told(chat(300_000, 10), tier="ultrafast"), "300000*120 + 10*450", "36.0045"),
    ("openai", "ft:gpt-4.1-mini-2025-04-14:a::b", replace(told(chat(1_000, 1_000)), batch=True), "1000*0.4 + 1000*1.6", "0.002"),
]

OPENAI_RESPONSES = [
    ("openai", "gpt-4.1", told(response(1_000, 200)), "1000*2 + 200*8", "0.0036"),
    ("openai", "gpt-5", told(response(5_000, 900, cached=4_096, reasoning=512)), "904*1.25 + 4096*0.125 + 900*10", "0.010642"),
    ("openai", "gpt-5", told(response(21_174, 300), searches={"web": 3}), "21174*1.25 + 300*10 + 3*10000", "0.0594675"),
    ("openai", "gpt-4o", told(response(900, 100), searches={"file": 2}), "900*2.5 + 100*10 + 2*2500", "0.00825"),
    ("openai", "gpt-4.1", told(response(900, 100), searches={"code_container": 1}), "900*2 + 100*8 + 1*30000", "0.0326"),
    (
        "openai",
        "gpt-5",
        told(response(900, 100), searches={"web": 1, "file": 1, "code_container": 2}),
        "900*1.25 + 100*10 + 1*10000 + 1*2500 + 2*30000",
        "0.074625",
    ),
    (
        "openai",
        "gpt-6.1-sol",
        told(response(9_000, 10, cached=1_000, written=4_000)),
        "4000*2 + 1000*0.1 + 4000*2.5 + 10*10",
        "0.0182",
    ),
    (
        "openai",
        "gpt-6.1-sol",
        told(response(9_000, 10, written=4_000, ttl={"ttl_30m_tokens": 4_000, "ttl_12h_tokens": 0})),
        "5000*2 + 4000*2.5 + 10*10",
        "0.0201",
    ),
    (
        "openai",
        "gpt-6.1-sol",
        told(response(9_000, 10, written=4_000, ttl={"ttl_30m_tokens": 1_000, "ttl_12h_tokens": 3_000})),
        "5000*2 + 1000*2.5 + 3000*5 + 10*10",
        "0.0276",
    ),
    (
        "openai",
        "gpt-6.1-sol",
        told(response(300_000, 10, written=4_000, ttl={"ttl_12h_tokens": 4_000})),
        "296000*4 + 4000*10 + 10*15",
        "1.22415",
    ),
    (
        "openai",
        "gpt-6.1-sol",
        told(response(9_000, 10, written=4_000, ttl={"ttl_12h_tokens": 4_000}), tier="priority"),
        "5000*4 + 4000*10 + 10*20",
        "0.0602",
    ),
    ("openai", "o4-mini", told(response(20, 800, reasoning=768)), "20*1.1 + 800*4.4", "0.003542"),
    # web searches are charged in full, whatever the tier
    ("openai", "gpt-5", told(response(1_000, 100), tier="flex", searches={"web": 1}), "1000*0.625 + 100*5 + 1*10000", "0.011125"),
]

OPENAI_OTHERS = [
    ("openai", "text-embedding-3-small", told({"prompt_tokens": 1_000, "total_tokens": 1_000}), "1000*0.02", "0.00002"),
    ("openai", "text-embedding-3-large", told({"prompt_tokens": 8, "total_tokens": 8}), "8*0.13", "0.00000104"),
    ("openai", "text-embedding-ada-002", told({"prompt_tokens": 5, "total_tokens": 5}), "5*0.1", "0.0000005"),
    ("openai", "gpt-image-1", media.image_usage_of(image(50, 0, 4_160), images=1), "50*5 + 4160*40", "0.16665"),
    ("openai", "gpt-image-1", media.image_usage_of(image(50, 323, 1_056), images=1), "50*5 + 323*10 + 1056*40", "0.04572"),
    ("openai", "gpt-image-1-mini", media.image_usage_of(image(10, 0, 272), images=1), "10*2 + 272*8", "0.002196"),
    ("openai", "gpt-4o-transcribe", media.transcription_usage_of(heard(140, 6, 30)), "6*2.5 + 140*6 + 30*10", "0.001155"),
    ("openai", "gpt-4o-mini-transcribe", media.transcription_usage_of(heard(140, 0, 30)), "140*3 + 30*5", "0.00057"),
    ("openai", "whisper-1", media.transcription_usage_of({"type": "duration", "seconds": 60}), "60*100", "0.006"),
    ("openai", "whisper-1", media.transcription_usage_of({"type": "duration", "seconds": 7.5}), "7.5*100", "0.00075"),
    ("openai", "tts-1", media.speech_usage_of(None, text="Hello, wörld 🌍"), "14*15", "0.00021"),
    ("openai", "tts-1-hd", media.speech_usage_of(None, text="x" * 1_000), "1000*30", "0.03"),
    (
        "openai",
        "gpt-4o-mini-tts",
        media.speech_usage_of({"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}, text="Hi there"),
        "14*0.6 + 101*12",
        "0.0012204",
    ),
    ("openai", "gpt-realtime", media.realtime_usage_of([realtime(100, 50, 20, 80)]), "100*4 + 50*32 + 20*16 + 80*64", "0.00744"),
    (
        "openai",
        "gpt-realtime",
        media.realtime_usage_of([realtime(100, 50, 20, 80), realtime(300, 150, 10, 40, cached_text=64, cached_audio=128)]),
        "336*4 + 72*32 + 64*0.4 + 128*0.4 + 30*16 + 120*64",
        "0.0118848",
    ),
    (
        "openai",
        "gpt-realtime-mini",
        media.realtime_usage_of([realtime(10, 100, 5, 50, cached_audio=100)]),
        "10*0.6 + 100*0.3 + 5*2.4 + 50*20",
        "0.001048",
    ),
    (
        "openai",
        "gpt-realtime",
        media.realtime_usage_of([realtime(0, 50, 0, 80)], [("whisper-1", {"type": "duration", "seconds": 3})]),
        "50*32 + 80*64 + 3*100",
        "0.00702",
    ),
    ("openai", "omni-moderation-latest", told(plain(10, 0)), "10*0", "0"),
]

ANTHROPIC = [
    ("anthropic", "claude-haiku-4-5-20251001", claude(message(1_000, 500)), "1000*1 + 500*5", "0.0035"),
    ("anthropic", "claude-sonnet-4-5-20250929", claude(message(1_000, 500)), "1000*3 + 500*15", "0.0105"),
    ("anthropic", "claude-sonnet-4-5", claude(message(100, 200, read=10_000)), "100*3 + 10000*0.3 + 200*15", "0.0063"),
    ("anthropic", "claude-sonnet-4-5", claude(message(100, 200, five=2_000)), "100*3 + 2000*3.75 + 200*15", "0.0108"),
    ("anthropic", "claude-sonnet-4-5", claude(message(100, 200, hour=2_000)), "100*3 + 2000*6 + 200*15", "0.0153"),
    (
        "anthropic",
        "claude-sonnet-4-5",
        claude(message(100, 200, read=5_000, five=1_000, hour=2_000)),
        "100*3 + 5000*0.3 + 1000*3.75 + 2000*6 + 200*15",
        "0.02055",
    ),
    # no split of the writes: all are of five minutes
    (
        "anthropic",
        "claude-opus-4-8",
        claude({"input_tokens": 10, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 0, "output_tokens": 5}),
        "10*5 + 400*6.25 + 5*25",
        "0.002675",
    ),
    # the whole input, cache and all, decides about the tier
    ("anthropic", "claude-sonnet-4-5", claude(message(10, 100, read=199_990)), "10*3 + 199990*0.3 + 100*15", "0.061527"),
    ("anthropic", "claude-sonnet-4-5", claude(message(11, 100, read=199_990)), "11*6 + 199990*0.6 + 100*22.5", "0.12231"),
    ("anthropic", "claude-haiku-5-5", claude(message(100_000, 10)), "100000*0.1 + 10*0.5", "0.010005"),
    ("anthropic", "claude-haiku-5-5", claude(message(90_000, 10, hour=10_001)), "90000*0.5 + 10001*1 + 10*2.5", "0.055026"),
    ("anthropic", "claude-sonnet-4-6", claude(message(500_000, 10)), "500000*3 + 10*15", "1.50015"),
    ("anthropic", "claude-opus-4-1-20250805", claude(message(1_000, 1_000)), "1000*15 + 1000*75", "0.09"),
    ("anthropic", "claude-opus-5-5", claude(message(1_000, 1_000, read=1_000)), "1000*4 + 1000*0.2 + 1000*20", "0.0242"),
    (
        "anthropic",
        "claude-fable-5-2",
        claude(message(1_000, 100, read=9_000, hour=1_000)),
        "1000*8 + 9000*0.2 + 1000*16 + 100*40",
        "0.0298",
    ),
    ("anthropic", "claude-3-5-haiku-20241022", claude(message(10, 10)), "10*0.8 + 10*4", "0.000048"),
    # thinking is inside the output
    ("anthropic", "claude-opus-4-8", claude(message(50, 900, thinking=850)), "50*5 + 900*25", "0.02275"),
    # searches; fetched pages cost nothing
    (
        "anthropic",
        "claude-sonnet-4-6",
        claude(message(9_000, 300, server_tool_use={"web_search_requests": 2, "web_fetch_requests": 0})),
        "9000*3 + 300*15 + 2*10000",
        "0.0515",
    ),
    (
        "anthropic",
        "claude-sonnet-4-6",
        claude(message(9_000, 300, server_tool_use={"web_search_requests": 0, "web_fetch_requests": 4})),
        "9000*3 + 300*15",
        "0.0315",
    ),
    # batch
    ("anthropic", "claude-haiku-4-5", claude(message(1_000, 500, service_tier="batch")), "1000*0.5 + 500*2.5", "0.00175"),
    (
        "anthropic",
        "claude-haiku-4-5",
        claude(message(1_000, 500, hour=1_000, read=1_000), batch=True),
        "1000*0.5 + 1000*1 + 1000*0.05 + 500*2.5",
        "0.0028",
    ),
    ("anthropic", "claude-haiku-5-5", claude(message(100_001, 10), batch=True), "100001*0.25 + 10*1.25", "0.02501275"),
    # fast, and the United States only
    ("anthropic", "claude-opus-4-8", claude(message(1_000, 100, speed="fast")), "1000*10 + 100*50", "0.015"),
    (
        "anthropic",
        "claude-opus-4-8",
        claude(message(1_000, 100, speed="standard", inference_geo="global")),
        "1000*5 + 100*25",
        "0.0075",
    ),
    ("anthropic", "claude-opus-4-8", claude(message(1_000, 100, inference_geo="us")), "1000*5.5 + 100*27.5", "0.00825"),
    (
        "anthropic",
        "claude-opus-4-8",
        claude(message(1_000, 100, read=1_000, five=1_000, hour=1_000, inference_geo="us")),
        "1000*5.5 + 1000*0.55 + 1000*6.875 + 1000*11 + 100*27.5",
        "0.026675",
    ),
    ("anthropic", "claude-opus-4-8", claude(message(1_000, 100, speed="fast", inference_geo="us")), "1000*11 + 100*55", "0.0165"),
    (
        "anthropic",
        "claude-sonnet-4-6",
        claude(message(1_000, 0, inference_geo="us", server_tool_use={"web_search_requests": 1})),
        "1000*3.3 + 1*10000",
        "0.0133",
    ),
    # a real answer: 188 tokens at the top, 55,278 in a compaction
    (
        "anthropic",
        "claude-opus-4-8",
        claude(
            message(
                100,
                88,
                iterations=[
                    {"type": "compaction", "input_tokens": 50_000, "output_tokens": 5_278},
                    {"type": "message", "input_tokens": 100, "output_tokens": 88},
                ],
            )
        ),
        "100*5 + 88*25 + 50000*5 + 5278*25",
        "0.38465",
    ),
    # an advisor of another model, with a cache of its own
    (
        "anthropic",
        "claude-haiku-4-5",
        claude(
            message(
                100,
                50,
                iterations=[
                    {
                        "type": "advisor_message",
                        "model": "claude-opus-4-8",
                        "input_tokens": 200,
                        "output_tokens": 30,
                        "cache_read_input_tokens": 1_000,
                    }
                ],
            )
        ),
        "100*1 + 50*5 + 200*5 + 1000*0.5 + 30*25",
        "0.0026",
    ),
    # what is inside is served as the call is: fast, or in the United States
    (
        "anthropic",
        "claude-opus-4-8",
        claude(
            message(100, 10, inference_geo="us", iterations=[{"type": "compaction", "input_tokens": 1_000, "output_tokens": 10}])
        ),
        "1100*5.5 + 20*27.5",
        "0.0066",
    ),
]

GEMINI = [
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200)), "1000*0.3 + 200*2.5", "0.0008"),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, thoughts=800)), "1000*0.3 + 1000*2.5", "0.0028"),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, cached=600)), "400*0.3 + 600*0.03 + 200*2.5", "0.000638"),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, audio=700)), "300*0.3 + 700*1 + 200*2.5", "0.00129"),
    (
        "gemini",
        "gemini-2.5-flash",
        native(gemini(1_000, 200, audio=700, cached=500, cached_audio=400)),
        "200*0.3 + 300*1 + 100*0.03 + 400*0.1 + 200*2.5",
        "0.000903",
    ),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, tools=300)), "1300*0.3 + 200*2.5", "0.00089"),
    ("gemini", "gemini-2.5-pro", native(gemini(200_000, 100)), "200000*1.25 + 100*10", "0.251"),
    ("gemini", "gemini-2.5-pro", native(gemini(200_001, 100)), "200001*2.5 + 100*15", "0.5015025"),
    (
        "gemini",
        "gemini-2.5-pro",
        native(gemini(250_000, 0, thoughts=100, cached=50_000)),
        "200000*2.5 + 50000*0.25 + 100*15",
        "0.514",
    ),
    # up to 2.5 a grounded answer has one fee, from 3 on each search has
    ("gemini", "gemini-2.5-pro", native(gemini(100, 100), searches={"web": 3}), "100*1.25 + 100*10 + 1*35000", "0.036125"),
    ("gemini", "gemini-3.1-pro-preview", native(gemini(100, 100), searches={"web": 3}), "100*2 + 100*12 + 3*14000", "0.0434"),
    ("gemini", "gemini-3.1-pro-preview", native(gemini(1_000, 10, thoughts=500)), "1000*2 + 510*12", "0.00812"),
    ("gemini", "models/gemini-2.5-flash-lite", native(gemini(1_000, 1_000)), "1000*0.1 + 1000*0.4", "0.0005"),
    ("gemini", "gemini-2.5-flash-image", native(gemini(20, 1_290, picture=1_290)), "20*0.3 + 1290*30", "0.038706"),
    ("gemini", "gemini-embedding-001", native({"promptTokenCount": 12, "totalTokenCount": 12}), "12*0.15", "0.0000018"),
    ("gemini", "imagen-4.0-generate-001", Usage(images=2), "2*40000", "0.08"),
    # tiers, in the body, in the header, and as Vertex names them
    (
        "gemini",
        "gemini-2.5-flash",
        native(gemini(1_000, 200, cached=600, serviceTier="SERVICE_TIER_FLEX")),
        "400*0.15 + 600*0.03 + 200*1.25",
        "0.000328",
    ),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200), header_tier="priority"), "1000*0.54 + 200*4.5", "0.00144"),
    (
        "gemini",
        "gemini-2.5-pro",
        native(gemini(200_001, 100, trafficType="ON_DEMAND_PRIORITY")),
        "200001*4.5 + 100*27",
        "0.9027045",
    ),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, trafficType="ON_DEMAND")), "1000*0.3 + 200*2.5", "0.0008"),
    (
        "gemini",
        "gemini-3.8-flash",
        native(gemini(1_000, 100, cached=500), header_tier="flex"),
        "500*0.375 + 500*0.0375 + 100*1.875",
        "0.00039375",
    ),
    ("gemini", "gemini-2.5-flash", native(gemini(1_000, 200, audio=1_000), batch=True), "1000*0.5 + 200*1.25", "0.00075"),
    # through the API that is OpenAI's, the thoughts are hidden: 109 - 35 are output
    (
        "gemini",
        "gemini-2.5-flash",
        told({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}),
        "35*0.3 + 74*2.5",
        "0.0001955",
    ),
    ("vertex", "publishers/google/models/gemini-2.5-flash", native(gemini(1_000, 200)), "1000*0.3 + 200*2.5", "0.0008"),
    ("vertex", "claude-sonnet-4-5@20250929", claude(message(1_000, 100)), "1000*3 + 100*15", "0.0045"),
    ("vertex", "google/gemini-2.5-pro", told(plain(1_000, 100)), "1000*1.25 + 100*10", "0.00225"),
]

AZURE_AND_BEDROCK = [
    ("azure", "gpt-4o-2024-11-20", told(chat(1_000, 500)), "1000*2.5 + 500*10", "0.0075"),
    ("azure", "gpt-4.1-2025-04-14", told(chat(1_000, 500, cached=256)), "744*2 + 256*0.5 + 500*8", "0.005616"),
    ("azure", "text-embedding-3-small", told({"prompt_tokens": 500, "total_tokens": 500}), "500*0.02", "0.00001"),
    ("azure", "gpt-4.1", told(response(900, 100), searches={"code_container": 1}), "900*2 + 100*8 + 1*33000", "0.0356"),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", claude(message(1_000, 100)), "1000*3 + 100*15", "0.0045"),
    ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", claude(message(1_000, 100)), "1000*3 + 100*15", "0.0045"),
    ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", claude(message(1_000, 100)), "1000*3.3 + 100*16.5", "0.00495"),
    (
        "bedrock",
        "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        claude(message(1_000, 100, read=1_000, five=1_000)),
        "1000*1.1 + 1000*0.11 + 1000*1.375 + 100*5.5",
        "0.003135",
    ),
    ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", claude(message(1_000, 100)), "1000*3 + 100*15", "0.0045"),
    (
        "bedrock",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        claude(message(10, 10)),
        "10*3.3 + 10*16.5",
        "0.000198",
    ),
    ("bedrock", "anthropic.claude-haiku-4-5-20251001-v1%3A0", claude(message(10, 10)), "10*1 + 10*5", "0.00006"),
    ("bedrock", "amazon.nova-pro-v1:0", told(plain(1_000, 100)), "1000*0.8 + 100*3.2", "0.00112"),
    ("bedrock", "meta.llama3-3-70b-instruct-v1:0", told(plain(1_000, 100)), "1000*0.72 + 100*0.72", "0.000792"),
]

OTHERS = [
    # Mistral says what was cached twice; it counts once
    (
        "mistral",
        "mistral-large-latest",
        told(plain(1_000, 100, num_cached_tokens=800, prompt_tokens_details={"cached_tokens": 800})),
        "200*0.5 + 800*0.05 + 100*1.5",
        "0.00029",
    ),
    ("mistral", "mistral-large-2512", told(plain(1_000, 100)), "1000*0.5 + 100*1.5", "0.00065"),
    ("mistral", "mistral-small-latest", told(plain(1_000, 100)), "1000*0.15 + 100*0.6", "0.00021"),
    ("mistral", "codestral-latest", told(plain(1_000, 100)), "1000*0.3 + 100*0.9", "0.00039"),
    (
        "mistral",
        "voxtral-small-latest",
        told(plain(20, 100, prompt_audio_seconds=30)),
        "20*0.1 + 100*0.4 + 30*66.6666666666666667",
        "0.002042",
    ),
    ("mistral", "mistral-medium-latest", replace(told(plain(1_000, 100)), batch=True), "1000*0.75 + 100*3.75", "0.001125"),
    ("mistral", "mistral-ocr-latest", Usage(pages=3), "3*4000", "0.012"),
    (
        "deepseek",
        "deepseek-v4-pro",
        told(plain(1_000, 100, prompt_cache_hit_tokens=600, prompt_cache_miss_tokens=400)),
        "400*0.66 + 600*0.022 + 100*1.98",
        "0.0004752",
    ),
    ("deepseek", "deepseek-chat", told(plain(1_000, 100)), "1000*0.28 + 100*0.42", "0.000322"),
    # xAI's chat leaves reasoning out of the completion: 1083 - 128 + 128 cached, 3 + 1 made
    ("xai", "grok-4.7", told(chat(1_083, 3, cached=128, reasoning=1, total=1_087)), "955*2 + 128*0.5 + 4*6", "0.001998"),
    ("xai", "grok-4.3", told(chat(199_999, 10)), "199999*1.25 + 10*2.5", "0.25002375"),
    ("xai", "grok-4.3", told(chat(200_000, 10)), "200000*2.5 + 10*5", "0.50005"),
    (
        "groq",
        "llama-3.3-70b-versatile",
        told(plain(1_000, 100, queue_time=0.01, total_time=0.2)),
        "1000*0.59 + 100*0.79",
        "0.000669",
    ),
    (
        "groq",
        "openai/gpt-oss-120b",
        told(chat(1_000, 100, cached=512), tier="on_demand"),
        "488*0.15 + 512*0.075 + 100*0.6",
        "0.0001716",
    ),
    (
        "groq",
        "whisper-large-v3",
        media.transcription_usage_of({"type": "duration", "seconds": 3_600}),
        "3600*30.8333333333333333",
        "0.111",
    ),
    (
        "groq",
        "whisper-large-v3",
        media.transcription_usage_of({"type": "duration", "seconds": 2}),
        "10*30.8333333333333333",
        "0.000308333333",
    ),
    ("groq", "whisper-large-v3-turbo", media.transcription_usage_of(None, duration=360), "360*11.1111111111111111", "0.004"),
    ("groq", "llama-3.3-70b-versatile", told(plain(1_000, 100), tier="flex"), "1000*0.59 + 100*0.79", "0.000669"),
    ("openrouter", "qwen/qwq-32b:free", told(plain(1_000, 100)), "1000*0 + 100*0", "0"),
    ("perplexity", "sonar", told(plain(8, 100, search_context_size="low")), "8*1 + 100*1 + 1*5000", "0.005108"),
    ("perplexity", "sonar-pro", told(plain(8, 100, search_context_size="high")), "8*3 + 100*15 + 1*14000", "0.015524"),
    (
        "perplexity",
        "sonar-deep-research",
        told(plain(33, 7_163, citation_tokens=20_016, num_search_queries=18, reasoning_tokens=73_997)),
        "33*2 + 7163*8 + 20016*2 + 73997*3 + 18*5000",
        "0.409393",
    ),
    # Cohere bills `billed_units`, and not the `tokens` beside them
    (
        "cohere",
        "command-a-03-2025",
        told(
            {
                "billed_units": {"input_tokens": 431, "output_tokens": 661},
                "tokens": {"input_tokens": 2_190, "output_tokens": 1_257},
            }
        ),
        "431*2.5 + 661*10",
        "0.0076875",
    ),
    ("cohere", "rerank-v3.5", told({"billed_units": {"search_units": 2}}), "2*2000", "0.004"),
    ("cohere", "embed-v4.0", told({"billed_units": {"input_tokens": 77}}), "77*0.12", "0.00000924"),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", told(plain(1_000, 100)), "1000*0.88 + 100*0.88", "0.000968"),
    (
        "fireworks",
        "accounts/fireworks/models/gpt-oss-120b",
        told(chat(1_000, 100, cached=400)),
        "600*0.15 + 400*0.015 + 100*0.6",
        "0.000156",
    ),
    ("voyage", "voyage-3.5", told({"total_tokens": 1_000}), "1000*0.06", "0.00006"),
    ("voyage", "rerank-2.5", told({"total_tokens": 1_000}), "1000*0.05", "0.00005"),
    ("moonshot", "kimi-k3", told(plain(1_000, 100, cached_tokens=900)), "100*3 + 900*0.3 + 100*15", "0.00207"),
    ("zai", "glm-5.3", told(chat(1_000, 100, cached=500)), "500*1.4 + 500*0.26 + 100*4.4", "0.00127"),
    ("cerebras", "gpt-oss-120b", told(plain(1_000, 100)), "1000*0.35 + 100*0.75", "0.000425"),
]

ROWS = [*OPENAI_CHAT, *OPENAI_TIERS, *OPENAI_RESPONSES, *OPENAI_OTHERS, *ANTHROPIC, *GEMINI, *AZURE_AND_BEDROCK, *OTHERS]

# (upstream, model, when, usage, arithmetic, US dollars): the price of the day, and of the hour
AT_THE_TIME = [
    ("openai", "o3", at(2025, 6, 9, 23, 59), told(chat(1_000, 1_000)), "1000*10 + 1000*40", "0.05"),
    ("openai", "o3", at(2025, 6, 10), told(chat(1_000, 1_000)), "1000*2 + 1000*8", "0.01"),
    ("anthropic", "claude-sonnet-4-6", at(2026, 3, 12), claude(message(200_001, 0)), "200001*6", "1.200006"),
    ("anthropic", "claude-sonnet-4-6", at(2026, 3, 13), claude(message(200_001, 0)), "200001*3", "0.600003"),
    ("gemini", "gemini-3.8-flash", at(2026, 12, 31, 23), native(gemini(1_000, 100)), "1000*0.75 + 100*3.75", "0.001125"),
    ("gemini", "gemini-3.8-flash", at(2027, 1, 1), native(gemini(1_000, 100)), "1000*1.5 + 100*7.5", "0.00225"),
    # DeepSeek's peak: Monday to Friday, 01:00 to 04:00 and 06:00 to 10:00 UTC
    ("deepseek", "deepseek-v4-pro", at(2026, 11, 18, 0, 59, 59), told(plain(1_000, 100)), "1000*0.66 + 100*1.98", "0.000858"),
    ("deepseek", "deepseek-v4-pro", at(2026, 11, 18, 1), told(plain(1_000, 100)), "1000*1.32 + 100*3.96", "0.001716"),
    ("deepseek", "deepseek-v4-pro", at(2026, 11, 18, 4), told(plain(1_000, 100)), "1000*0.66 + 100*1.98", "0.000858"),
    ("deepseek", "deepseek-v4-pro", at(2026, 11, 20, 9, 59, 59), told(plain(1_000, 100)), "1000*1.32 + 100*3.96", "0.001716"),
    ("deepseek", "deepseek-v4-pro", at(2026, 11, 21, 9), told(plain(1_000, 100)), "1000*0.66 + 100*1.98", "0.000858"),
    ("deepseek", "deepseek-v4-flash", at(2026, 11, 22, 2), told(plain(1_000, 100)), "1000*0.15 + 100*0.6", "0.00021"),
    ("deepseek", "deepseek-v4-flash", at(2026, 11, 23, 2), told(plain(1_000, 100)), "1000*0.3 + 100*1.2", "0.00042"),
    ("deepseek", "deepseek-v4-pro", at(2026, 10, 1, 2), told(plain(1_000, 100)), "1000*0.66 + 100*1.98", "0.000858"),
    ("deepseek", "deepseek-v4-pro", at(2026, 7, 1, 2), told(plain(1_000, 100)), "1000*0.435 + 100*0.87", "0.000522"),
    ("deepseek", "deepseek-chat", at(2025, 8, 1, 12), told(plain(1_000, 100)), "1000*0.27 + 100*1.1", "0.00038"),
    ("deepseek", "deepseek-chat", at(2025, 8, 1, 20), told(plain(1_000, 100)), "1000*0.135 + 100*0.55", "0.00019"),
    ("deepseek", "deepseek-chat", at(2025, 9, 10, 20), told(plain(1_000, 100)), "1000*0.56 + 100*1.68", "0.000728"),
    ("mistral", "mistral-large-latest", at(2025, 12, 1), told(plain(1_000, 100)), "1000*2 + 100*6", "0.0026"),
]

# (host, model, usage, arithmetic, US dollars): where the call was served
AT_THE_HOST = [
    ("api.openai.com/v1", "gpt-6.1-sol", told(chat(1_000, 100, cached=500)), "500*2 + 500*0.1 + 100*10", "0.00205"),
    ("eu.api.openai.com/v1", "gpt-6.1-sol", told(chat(1_000, 100, cached=500)), "500*2.2 + 500*0.11 + 100*11", "0.002255"),
    (
        "us.api.openai.com/v1",
        "gpt-5.4",
        told(chat(272_001, 10), searches={"web": 1}),
        "272001*5.5 + 10*24.75 + 1*10000",
        "1.506253",
    ),
    ("eu.api.openai.com/v1", "gpt-4o", told(chat(1_000, 100)), "1000*2.5 + 100*10", "0.0035"),
    ("eu.api.openai.com/v1", "gpt-6.1-sol", told(chat(1_000, 100), tier="priority"), "1000*4.4 + 100*22", "0.0066"),
    (
        "us-east5-aiplatform.googleapis.com",
        "claude-sonnet-4-5@20250929",
        claude(message(1_000, 100)),
        "1000*3.3 + 100*16.5",
        "0.00495",
    ),
    ("aiplatform.googleapis.com", "claude-sonnet-4-5@20250929", claude(message(1_000, 100)), "1000*3 + 100*15", "0.0045"),
    ("europe-west4-aiplatform.googleapis.com", "gemini-2.5-flash", native(gemini(1_000, 100)), "1000*0.3 + 100*2.5", "0.00055"),
    ("bedrock-runtime.eu-west-1.amazonaws.com", "amazon.nova-pro-v1:0", told(plain(1_000, 100)), "1000*0.8 + 100*3.2", "0.00112"),
    ("my-resource.openai.azure.com/openai", "gpt-4o-2024-11-20", told(chat(1_000, 100)), "1000*2.5 + 100*10", "0.0035"),
    ("api.together.ai/v1", "meta-llama/Llama-3.3-70B-Instruct-Turbo", told(plain(10, 10)), "10*0.88 + 10*0.88", "0.0000176"),
]


def worked_out(arithmetic: str) -> Fraction:
    """Return the sum of products in US dollars."""
    products = (Fraction(1) * Fraction(a) * Fraction(b) for a, b in (product.split("*") for product in arithmetic.split(" + ")))
    return sum(products, Fraction(0)) / 10**6


def the_cost(upstream, model, usage, *, when=NOW, host=None, operation="chat"):
    return cost_of(
        Call(operation, "ok", model="asked", served_model=model, usage=usage), upstream=upstream, at=when, book=BOOK, host=host
    )


def check(cost, arithmetic, usd):
    by_hand = Decimal(usd)
    assert abs(worked_out(arithmetic) - Fraction(by_hand)) < Fraction(1, PICO), "the row is wrong in itself"
    assert Decimal(cost.pico) / PICO == by_hand
    assert cost.status == ("exact" if by_hand or not cost.lines else "free")
    assert cost.ref is not None or not cost.lines
    assert abs(sum(Decimal(line["cost_usd"]) for line in cost.lines) - by_hand) < Decimal("1e-12")


@pytest.mark.parametrize(("upstream", "model", "usage", "arithmetic", "usd"), ROWS)
def test_it_costs_what_was_worked_out_by_hand(upstream, model, usage, arithmetic, usd):
    check(the_cost(upstream, model, usage), arithmetic, usd)


@pytest.mark.parametrize(("upstream", "model", "when", "usage", "arithmetic", "usd"), AT_THE_TIME)
def test_it_costs_what_it_cost_then(  # noqa: PLR0917 - the columns of the table
    upstream, model, when, usage, arithmetic, usd
):
    check(the_cost(upstream, model, usage, when=when), arithmetic, usd)


@pytest.mark.parametrize(("host", "model", "usage", "arithmetic", "usd"), AT_THE_HOST)
def test_it_costs_what_it_costs_there(host, model, usage, arithmetic, usd):
    check(the_cost("mine", model, usage, host=host), arithmetic, usd)


def test_the_table_is_long_enough():
    assert len(ROWS) + len(AT_THE_TIME) + len(AT_THE_HOST) >= 150
