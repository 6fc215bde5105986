"""Does a FairNet's stream hold its memory? Peak of all processes at 1,000,000 gated rows over the peak at 100,000.

    python benchmarks/stream_memory_fairnet.py            # 1,000,000 against 100,000 rows, interleaved
    python benchmarks/stream_memory_fairnet.py --quick    # once, 200,000 against 100,000: a look, not a result

The rows and the measurement are those of stream_memory. Each row goes through all of a FairNet: tokens, lower layers,
two detectors, the upper layers with every subset of two gates; then all blocks are read back and decided at thresholds.
Backbone and gates are random and tiny (two layers of width 16), so that rows dominate and not weights: what is measured
is the stream, no figure is about a model that anybody would use.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from harness import start
from stream_memory import compare, made_up_serializer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from equiray.mitigation.fairnet import Classifier, FairNet, Layers, save_fairnet
from equiray.mitigation.fairnet.detector import Detector
from equiray.mitigation.fairnet.gates import Adapter
from equiray.models.backbones import Backbone, load_backbone
from equiray.specs.fairnet import BackboneSpec
from equiray.specs.run import StreamingSpec
from equiray.streaming.gated import gate_table, gated_blocks

ATTRIBUTES = ("first", "second")
LAYERS = Layers(frozen=1, detector=1, adapter=1)
MAX_TOKENS = 32
OPEN = 0.2
SHAKEN = 0.3


def save_backbone(folder: Path) -> BackboneSpec:
    """A random BERT with a token for each word of the made-up rows."""
    torch.manual_seed(0)
    words = ["The", "feature", "number", "is", "value", "of", ".", "_", *map(str, range(100))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    config = BertConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=len(words),
        max_position_embeddings=MAX_TOKENS,
    )
    BertModel(config).save_pretrained(folder)
    return BackboneSpec(source=str(folder), max_tokens=MAX_TOKENS)


def random_fairnet(backbone: Backbone) -> FairNet:
    """Two gates, whose adapters are moved so far that an open one shows in the output."""
    classifier = Classifier(backbone, frozen_layers=LAYERS.frozen, seed=0)
    detectors = {name: Detector(backbone.width, seed=0, stage=name).eval() for name in ATTRIBUTES}
    adapters = {
        name: Adapter(backbone, first_layer=LAYERS.adapter, rank=2, alpha=4, seed=0, stage=name) for name in ATTRIBUTES
    }
    with torch.no_grad():
        for module in (classifier.head, *adapters.values()):
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter) * SHAKEN)
    return FairNet(classifier=classifier, detectors=detectors, adapters=adapters, layers=LAYERS)


def stream(rows: Path, out: Path) -> None:
    """What the measured process does."""
    spec, fairnet = save_backbone(out.with_name("backbone")), out.with_name("fairnet")
    save_fairnet(fairnet, random_fairnet(load_backbone(spec)))
    streaming = StreamingSpec(mode="ray", rows_per_block=4096)
    gate_table(rows, made_up_serializer(), spec, fairnet, out, streaming, label="gated rows")
    first = next(gated_blocks(out))
    thresholds = dict(zip(first.attributes, np.quantile(first.risk, 1 - OPEN, axis=0).tolist(), strict=True))
    decided = opened = moved = 0
    for block in gated_blocks(out):
        decision, base = block.decided(thresholds), block.probability[:, 0]
        is_open = (block.risk > list(thresholds.values())).any(axis=1)
        if not np.array_equal(decision[~is_open], base[~is_open]):
            raise SystemExit("a row with closed gates was not decided as the base model decides")
        decided, opened = decided + len(decision), opened + int(is_open.sum())
        moved += int((decision[is_open] != base[is_open]).sum())
    print(f"{decided:,} rows decided, {opened / decided:.1%} with an open gate, which moved {moved:,} outputs")
    if not 0 < opened < decided or moved < opened / 2:
        raise SystemExit("gates that are all open, all closed or without effect measure nothing")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stream"]:  # the process that is measured
        stream(*map(Path, sys.argv[2:]))
    else:
        compare("stream_memory_fairnet", __file__, quick=start(__doc__ or ""))
