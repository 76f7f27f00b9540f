"""The networks of the paper in plain PyTorch, timed: what `synthcp bench --reference --against PYTHON` runs.

With --device cuda they run on the first GPU, in fp16 as well. Reads a folder with the weights of M (FCN-8s on VGG16), G (SPADE) and F (two ResNet-18) and with what they were
shown and what they answered, in safetensors; prints as JSON, for each way to run them, the median milliseconds of
each network and its largest difference from those answers, as a share of their range. Needs torch and safetensors;
torch.compile needs a C++ compiler besides, and ONNX Runtime the packages onnx and onnxruntime. A way that cannot be
had is left out, with its reason:

    python3 -m venv venv && venv/bin/pip install torch safetensors onnx onnxruntime numpy
    synthcp bench --reference --data CAMVID --slice val:20..22 --against venv/bin/python
"""

import argparse
import json
import pathlib
import signal
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SLOPE = 0.2


class Network(torch.nn.Module):
    """Parameters by their names in the file, and constants of a channel each."""

    CONSTANTS = {}

    def __init__(self, tensors):
        super().__init__()
        for name, values in self.CONSTANTS.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "/"), tensor)

    def get(self, name):
        return self._buffers.get(name.replace(".", "/"))

    def conv(self, name, x, **options):
        return F.conv2d(x, self.get(f"{name}.weight"), self.get(f"{name}.bias"), **options)

    def norm(self, name, x):
        parts = (self.get(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)


class Segmenter(Network):
    """FCN-8s: five stages of VGG16, two layers on top, two skips; to labels and softmax."""

    CONSTANTS = {"mean": [255 * m for m in (0.485, 0.458, 0.408)]}
    STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))

    def forward(self, image):
        size = image.shape[2:]
        x = image * 255 - self.mean
        pools = []
        for stage in self.STAGES:
            for i in stage:
                x = F.relu(self.conv(f"vgg.{i}", x, padding=99 if i == 0 else 1))
            x = F.max_pool2d(x, 2, ceil_mode=True)
            pools.append(x)
        x = F.relu(self.conv("vgg_head.0", x))
        x = F.relu(self.conv("vgg_head.3", x))
        x = F.conv_transpose2d(self.conv("vgg_head.6", x), self.get("upscore2.w"), stride=2)
        for name, pool, share, offset, up in (
            ("score_pool4", pools[3], 0.01, 5, "upscore_pool4"),
            ("score_pool3", pools[2], 0.0001, 9, "upscore8"),
        ):
            h, w = x.shape[2:]
            skip = self.conv(name, pool * share)[:, :, offset : offset + h, offset : offset + w]
            x = F.conv_transpose2d(x + skip, self.get(f"{up}.w"), stride=2 if up != "upscore8" else 8)
        probabilities = x[:, :, 31 : 31 + size[0], 31 : 31 + size[1]].float().softmax(1)
        return probabilities, *probabilities.max(1)


class Generator(Network):
    """SPADE, each layer from the whole label map; its spectral norms divided out at the start."""

    # All but the first on a grid twice as fine as the one before.
    BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3")

    def __init__(self, tensors):
        plain = dict(tensors)
        for name in [name for name in tensors if name.endswith("weight_orig")]:
            stem = name.removesuffix("weight_orig")
            weight, u, v = (plain.pop(stem + part) for part in ("weight_orig", "weight_u", "weight_v"))
            plain[f"{stem}weight"] = weight / torch.dot(u, weight.flatten(1) @ v)
        super().__init__(plain)
        classes = plain["fc.weight"].shape[1]
        self.register_buffer("ids", torch.arange(classes).view(1, -1, 1, 1))

    def spade(self, name, x, one_hot):
        labels = F.interpolate(one_hot, x.shape[2:])
        hidden = F.relu(self.conv(f"{name}.mlp_shared.0", labels, padding=1))
        gamma, beta = (self.conv(f"{name}.mlp_{part}", hidden, padding=1) for part in ("gamma", "beta"))
        return self.norm(f"{name}.param_free_norm", x) * (1 + gamma) + beta

    def block(self, name, x, one_hot):
        y = x
        for i in range(2):
            y = F.leaky_relu(self.spade(f"{name}.norm_{i}", y, one_hot), SLOPE)
            y = self.conv(f"{name}.conv_{i}", y, padding=1)
        if self.get(f"{name}.conv_s.weight") is not None:
            x = self.conv(f"{name}.conv_s", self.spade(f"{name}.norm_s", x, one_hot))
        return x + y

    def forward(self, labels):
        one_hot = (labels.unsqueeze(1) == self.ids).to(self.get("fc.weight").dtype)
        h, w = labels.shape[1:]
        x = self.conv("fc", F.interpolate(one_hot, (h >> 6, w >> 6)), padding=1)
        x = self.block(self.BLOCKS[0], x, one_hot)
        for name in self.BLOCKS[1:]:
            x = self.block(name, F.interpolate(x, scale_factor=2), one_hot)
        x = self.conv("conv_img", F.leaky_relu(x, SLOPE), padding=1)
        return ((x.float().tanh() + 1) / 2,)


class Comparer(Network):
    """The joint network: two ResNet-18, the confidence of each pixel and the IoU of each class."""

    CONSTANTS = {"mean": IMAGENET[0], "std": IMAGENET[1]}

    def basic(self, name, x, stride):
        y = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride=stride, padding=1)))
        y = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", y, padding=1))
        if self.get(f"{name}.downsample.0.weight") is not None:
            x = self.norm(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride=stride))
        return F.relu(x + y)

    def trunk(self, name, x):
        x = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride=2, padding=3)))
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            for i in range(2):
                x = self.basic(f"{name}.layer{stage}.{i}", x, 2 if stage > 1 and i == 0 else 1)
            yield x

    def forward(self, image, synth, probabilities):
        prediction = F.relu(self.norm("pred_conv.1", self.conv("pred_conv.0", probabilities)))
        looks = [
            list(self.trunk(name, torch.cat([(picture - self.mean) / self.std, prediction], 1)))
            for name, picture in (("siamese1", image), ("siamese2", synth))
        ]
        stages = [torch.cat(pair, 1) for pair in zip(*looks)]
        size = image.shape[2:]
        squeezed = [
            F.interpolate(F.relu(self.norm(f"ft_convs.{i}.1", self.conv(f"ft_convs.{i}.0", x))), size, mode="bilinear")
            for i, x in enumerate(stages)
        ]
        confidence = self.conv("conf", torch.cat(squeezed, 1)).float()
        pooled = stages[3].float().mean((2, 3))
        iou = F.linear(pooled, self.get("regress.weight").float(), self.get("regress.bias").float())
        return confidence, iou


def timed(run, inputs, turns):
    """Median milliseconds, and the last outputs; the first turn warms up."""
    times = []
    for _ in range(turns + 1):
        start = time.perf_counter()
        outputs = run(*inputs)
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:]), outputs


def eager(kind, layout=torch.channels_last):
    def prepare(network, inputs):
        inputs = [t.to(DEVICE) for t in inputs]
        cast = [
            t.to(kind).contiguous(memory_format=layout) if t.is_floating_point() else t for t in inputs
        ]
        return network.to(DEVICE, kind).to(memory_format=layout), cast

    return prepare


def compiled(kind, **options):
    def prepare(network, inputs):
        network, inputs = eager(kind)(network, inputs)
        return torch.compile(network, **options), inputs

    return prepare


def onnx_runtime(network, inputs):
    import onnxruntime

    file = pathlib.Path(FOLDER) / "network.onnx"
    names = [f"input{i}" for i in range(len(inputs))]
    torch.onnx.export(network, tuple(inputs), file, input_names=names, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feed = {name: t.numpy() for name, t in zip(names, inputs)}
    return lambda *_: [torch.from_numpy(output) for output in session.run(None, feed)], inputs


WAYS = {
    "eager fp32": eager(torch.float32, torch.contiguous_format),
    "eager fp32, channels last": eager(torch.float32),
    "eager bf16, channels last": eager(torch.bfloat16),
    "torch.compile fp32": compiled(torch.float32),
    "ONNX Runtime fp32": onnx_runtime,
}
# The last replays a recorded graph, which saves the time to start each kernel.
GPU_WAYS = {
    "eager fp16, channels last": eager(torch.float16),
    "torch.compile fp16": compiled(torch.float16),
    "torch.compile fp16, graphs": compiled(torch.float16, mode="reduce-overhead"),
    "eager bf16, channels last": eager(torch.bfloat16),
    "eager fp32": eager(torch.float32, torch.contiguous_format),
}


def too_slow(*_):
    raise TimeoutError("the time is up")


def main():
    global FOLDER, DEVICE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, help="give up what is not done after so many seconds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    FOLDER, DEVICE = arguments.folder, arguments.device
    # A GPU's turns are short, and its first ones not yet at their speed.
    turns = arguments.turns or (30 if DEVICE == "cuda" else 3)
    started = time.perf_counter()
    if DEVICE == "cuda":
        torch.backends.cudnn.benchmark = True
    signal.signal(signal.SIGALRM, too_slow)
    torch.set_num_threads(arguments.threads)
    seen = load_file(FOLDER / "frame.safetensors")
    subjects = (
        ("m", Segmenter, ("image",), ("probabilities",)),
        ("g", Generator, ("labels",), ("synth",)),
        ("f", Comparer, ("image", "synth", "probabilities"), ("confidence", "iou")),
    )
    ways = []
    for way, prepare in (GPU_WAYS if DEVICE == "cuda" else WAYS).items():
        result = {"way": way, "millis": [], "difference": []}
        try:
            if arguments.seconds:
                left = arguments.seconds - (time.perf_counter() - started)
                signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
            for name, kind, inputs, answers in subjects:
                with torch.inference_mode(mode=prepare is not onnx_runtime), torch.no_grad():
                    network = kind(load_file(FOLDER / f"{name}.safetensors")).eval()
                    run, given = prepare(network, [seen[i] for i in inputs])
                    millis, outputs = timed(run, given, turns)
                apart = [
                    ((output.float().cpu() - seen[answer]).abs().max() / (seen[answer].max() - seen[answer].min())).item()
                    for output, answer in zip(outputs, answers)
                ]
                result["millis"].append(millis)
                result["difference"].append(max(apart))
        except Exception as reason:  # noqa: BLE001: whatever it is, the other ways are still worth their time
            print(f"{way} is left out: {type(reason).__name__}: {str(reason)[:500]}", file=sys.stderr)
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        ways.append(result)
    print(json.dumps(ways))


if __name__ == "__main__":
    main()
