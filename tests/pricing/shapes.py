"""Usage objects in the shapes in which providers send them, with all the fields that they send, for tables of costs."""


def chat(prompt, completion, *, cached=0, written=None, reasoning=0, audio_in=0, audio_out=0, total=None, **more):
    """OpenAI's chat completions, and all who copied them."""
    inside = {"cached_tokens": cached, "audio_tokens": audio_in} | ({} if written is None else {"cache_write_tokens": written})
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
        "prompt_tokens_details": inside,
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": audio_out,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        **more,
    }


def plain(prompt, completion, **more):
    """Three numbers and nothing else."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


def response(given, made, *, cached=0, written=None, ttl=None, reasoning=0):
    """OpenAI's Responses API."""
    inside = {"cached_tokens": cached}
    if written is not None:
        inside |= {"cache_write_tokens": written}
    if ttl is not None:
        inside |= {"cache_write_tokens_details": ttl}
    return {
        "input_tokens": given,
        "input_tokens_details": inside,
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + made,
    }


def message(fresh, made, *, read=0, five=0, hour=0, thinking=None, **more):
    """Anthropic's Messages API."""
    usage = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": five + hour,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": made,
        "service_tier": "standard",
        "inference_geo": "not_available",
        "server_tool_use": None,
    }
    return usage | ({} if thinking is None else {"output_tokens_details": {"thinking_tokens": thinking}}) | more


def gemini(prompt, answer, *, thoughts=0, cached=0, tools=0, audio=0, cached_audio=0, picture=0, **more):
    """Gemini's native API, which leaves out what is zero."""
    usage = {"promptTokenCount": prompt, "totalTokenCount": prompt + answer + thoughts + tools}
    usage |= {"candidatesTokenCount": answer} if answer else {}
    usage |= {"thoughtsTokenCount": thoughts} if thoughts else {}
    usage |= {"toolUsePromptTokenCount": tools} if tools else {}
    kinds = [{"modality": "TEXT", "tokenCount": prompt - audio}] + ([{"modality": "AUDIO", "tokenCount": audio}] if audio else [])
    usage |= {"promptTokensDetails": kinds}
    if cached:
        spoken = [{"modality": "AUDIO", "tokenCount": cached_audio}] if cached_audio else []
        usage |= {"cachedContentTokenCount": cached}
        usage |= {"cacheTokensDetails": [{"modality": "TEXT", "tokenCount": cached - cached_audio}, *spoken]}
    if picture:
        usage |= {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": picture}]}
    return usage | more


def image(text, pictures, made):
    """OpenAI's images."""
    return {
        "input_tokens": text + pictures,
        "input_tokens_details": {"text_tokens": text, "image_tokens": pictures},
        "output_tokens": made,
        "total_tokens": text + pictures + made,
    }


def heard(audio, text, made):
    """OpenAI's transcriptions, by the token."""
    return {
        "type": "tokens",
        "input_tokens": audio + text,
        "input_token_details": {"audio_tokens": audio, "text_tokens": text},
        "output_tokens": made,
        "total_tokens": audio + text + made,
    }


def realtime(text, audio, text_out, audio_out, *, cached_text=0, cached_audio=0):
    """One response in a realtime session."""
    return {
        "total_tokens": text + audio + text_out + audio_out,
        "input_tokens": text + audio,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text,
            "audio_tokens": audio,
            "image_tokens": 0,
            "cached_tokens": cached_text + cached_audio,
            "cached_tokens_details": {"text_tokens": cached_text, "audio_tokens": cached_audio, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }
