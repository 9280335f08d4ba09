"""What /docs shows of the bodies and parameters that are read by hand; a test sends every example."""

from typing import Any

from app.schemas import ConfigPatch

TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGUlEQVR42mNkYGhQYGDARCwMCgxYweCUAABobwJednxjlwAAAABJRU5ErkJggg=="
)
"""A PNG of 8 x 8 pixels, in base64."""

_LEVEL = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "enum": ["exact", "dense"]}]}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "L": {"description": "Number of hyperplanes, exact or dense; absent: as /config says", "schema": _LEVEL},
    "top_k": {"description": "How many classes to name", "schema": {"type": "integer", "minimum": 1}},
    "deadline_ms": {
        "description": "Milliseconds until the answer is worth nothing; absent: the objective, for each image",
        "schema": {"type": "integer", "minimum": 1, "maximum": 600_000},
    },
    "min_L": {
        "description": "The lowest level that may be used for this request; above the configured `L` it is used itself",
        "schema": _LEVEL,
    },
    "model": {"description": "A name of /models; absent: the first", "schema": {"type": "string"}},
}
_EXAMPLES = {"L": 10, "top_k": 3}

CLASSIFY_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False} | values for name, values in _PARAMETERS.items()
]

_FIELDS = {name: values["schema"] for name, values in _PARAMETERS.items()}
_BINARY = {"type": "string", "format": "binary"}
_FILES = "One file, or the field several times (`-F image=@a.jpg -F image=@b.jpg`); `images` and `file` are taken too"
_BASE64 = {"type": "string", "format": "byte"}

CLASSIFY_EXAMPLES: dict[str, Any] = {
    "one image": {"value": {"image": TINY_PNG, **_EXAMPLES}},
    "several": {"value": {"images": [TINY_PNG, TINY_PNG], "L": "exact"}},
}
CLASSIFY_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": {"type": "array", "items": _BINARY, "description": _FILES}, **_FIELDS},
                "required": ["image"],
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"image": _BASE64, "images": {"type": "array", "items": _BASE64}, **_FIELDS},
            },
            "examples": CLASSIFY_EXAMPLES,
        },
    },
}

_SHOWN: dict[str, dict[str, Any]] = {
    "L": _PARAMETERS["L"],
    "model": _PARAMETERS["model"],
    "layer": {
        "description": "A layer that HASTE runs; absent: one near the middle of those that merge at this L",
        "schema": {"type": "string"},
    },
    "row": {"description": "The patch's row; absent: the middle", "schema": {"type": "integer", "minimum": 0}},
    "column": {"description": "The patch's column; absent: the middle", "schema": {"type": "integer", "minimum": 0}},
}
EXPLAIN_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False} | values for name, values in _SHOWN.items()
]
_SHOWN_FIELDS = {name: values["schema"] for name, values in _SHOWN.items()}
EXPLAIN_EXAMPLES: dict[str, Any] = {
    "the middle of a layer near the middle": {"value": {"image": TINY_PNG}},
    "one patch at L = 8": {"value": {"image": TINY_PNG, "L": 8, "layer": "layer3.1.conv2", "row": 0, "column": 1}},
}
EXPLAIN_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/octet-stream": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"image": _BINARY, **_SHOWN_FIELDS}, "required": ["image"]}
        },
        "application/json": {
            "schema": {"type": "object", "properties": {"image": _BASE64, **_SHOWN_FIELDS}, "required": ["image"]},
            "examples": EXPLAIN_EXAMPLES,
        },
    },
}
EXPLAINED_EXAMPLE: dict[str, Any] = {
    "model": "resnet18_cifar10",
    "L": {"requested": 12, "used": 12},
    "request_id": "01M87G7N3B5SB0J1HYSA8FH40H",
    "layer": {
        "name": "layer3.1.conv1", "index": 13, "in_channels": 256, "out_channels": 256,
        "kernel_size": [3, 3], "stride": [1, 1],
        "grid": {"rows": 2, "columns": 2},
        "feature_map": {"height": 8, "width": 8},
    },
    "patch": {
        "row": 0,
        "column": 1,
        "box": {"left": 0.375, "top": 0.0, "width": 0.625, "height": 0.625},
        "channels": [
            {"index": 0, "code": "001011001101", "bucket": 0, "state": "merged", "rms": 0.38854509592056274},
            {"index": 1, "code": "100101001101", "bucket": 1, "state": "kept", "rms": 0.5908581614494324},
        ],
        "buckets": [{"id": 0, "channels": [0, 7, 116, 127, 182], "size": 5}, {"id": 1, "channels": [1], "size": 1}],
        "channels_before": 256,
        "channels_after": 138,
        "compression_ratio": 0.4609375,
    },
    "map": {"rows": 2, "columns": 2, "compression_ratio": [[0.3203125, 0.4609375], [0.3203125, 0.35546875]]},
    "layers": [
        {
            "name": "layer3.1.conv1", "compression_ratio": 0.3642578125,
            "dense_flops": 75497472, "executed_flops": 20307936, "reduction": 0.7310117085774739,
            "converted": True, "form": "merge", "served_form": "zeros",
        }
    ],
    "timing_ms": {"total": 290.412},
}  # fmt: skip
"""`haste/samples/cat.jpg`, cut: two of 256 channels, two of 138 buckets, one of 21 layers."""
EXPLAINED: dict[str, Any] = {
    "description": "The layer, the patch, all patches, all layers; the example's lists are cut",
    "content": {"application/json": {"example": EXPLAINED_EXAMPLE}},
}


INFER_EXAMPLES: dict[str, Any] = {
    "one image, its best three classes": {
        "value": {
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [TINY_PNG]}],
            "outputs": [{"name": "probabilities", "parameters": {"classification": 3}}],
            "parameters": {"haste_l": 10},
        }
    },
}
INFER_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "object", "required": ["inputs"]}, "examples": INFER_EXAMPLES},
        "application/octet-stream": {"schema": _BINARY},
    },
}

CONFIG_EXAMPLES: dict[str, Any] = {
    "another L for all": {"value": {"L": 10}},
    "zeros alone are skipped": {"value": {"L": "exact"}},
    "hold 50 ms, down to L = 10": {"value": {"controller": {"slo_ms": 50, "L_min": 10}}},
    "another rule and bound": {"value": {"merge": "mean", "tolerance": 0.05}},
}
CONFIG_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": ConfigPatch.model_json_schema(ref_template="#/components/schemas/{model}"),
            "examples": CONFIG_EXAMPLES,
        }
    },
}
