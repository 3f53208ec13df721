"""ONNX models and what others compute with them: the node tests of ONNX itself, networks of torchvision, published models.

    pip install onnx onnxruntime onnx2torch onnxscript torch torchvision segmentation-models-pytorch
    python tests/reference/onnx_models.py WORK          # writes all into the folder WORK, then runs the program on it
    python tests/reference/onnx_models.py WORK --small  # the same with small images: ONNX_DEVICE=wgpu in software takes minutes
    python tests/reference/onnx_models.py --fixture     # rewrites tests/fixtures/onnx-nodes.gz, the part that always runs

A case is a folder: model.onnx, input_N.pb, output_N.pb; for gradients also weight.pb and gradient.pb, which is the gradient
of the sum of weight · output 0 with respect to input 0. Outputs of networks are onnxruntime's, gradients PyTorch's (of
published models: onnx2torch's). Weights of networks are random, with a fixed seed.
"""

import argparse
import gzip
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
from onnx import numpy_helper

warnings.simplefilter("ignore")
ROOT = Path(__file__).resolve().parents[2]

# With --small: sizes at which gradients take minutes, and not hours, on a GPU in software. The operators are the same, and all
# that sees the whole image still sees more than one pixel of a map.
SMALL_SIZES = {
    "resnet50": (48, 40),
    "inception_v3": (75, 75),
    "mobilenet_v2": (48, 40),
    "deeplab_v3": (40, 32),
    "fcn": (32, 40),
    "unet": (32, 48),
    "linknet": (32, 64),
    "bioimageio_unet2d_nuclei": (64, 64),
    "lwnet": (64, 64),
}
SMALL = {}

# Operators that networks for 2-D float images do not use, with the reason that is printed.
OUT_OF_SCOPE = {
    "sequences, optionals, maps": """SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
        SequenceMap SplitToSequence ConcatFromSequence Optional OptionalGetElement OptionalHasElement ReverseSequence""",
    "strings and text": "StringNormalizer StringConcat StringSplit RegexFullMatch TfIdfVectorizer LabelEncoder",
    "quantised": """QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulInteger
        ConvInteger""",
    "recurrent": "LSTM GRU RNN Scan Loop",
    "classical machine learning": "ArrayFeatureExtractor Binarizer TreeEnsemble",
    "training": "Adam Adagrad Momentum Gradient NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "sound and spectra": """DFT STFT MelWeightMatrix HannWindow HammingWindow BlackmanWindow""",
    "random": "Bernoulli RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial",
    "decoding and text models": """ImageDecoder RotaryEmbedding Attention TensorScatter BitCast LinearAttention
        CausalConvWithState FlexAttention""",
    "boxes": "NonMaxSuppression RoiAlign MaxRoiPool",
}
REASON = {name: why for why, names in OUT_OF_SCOPE.items() for name in names.split()}
TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16}


def save(folder, model, inputs, outputs, **more):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files(model, inputs, outputs, **more).items():
        (folder / name).write_bytes(data)


def files(model, inputs, outputs, **more):
    graph = model.graph
    out = {"model.onnx": model.SerializeToString()}
    given = [i for i in graph.input if i.name not in {t.name for t in graph.initializer}]
    for kind, values, infos in (("input", inputs, given), ("output", outputs, graph.output)):
        for i, (value, info) in enumerate(zip(values, infos)):
            if not isinstance(value, onnx.TensorProto):
                value = numpy_helper.from_array(np.asarray(value), info.name)
            value.name = info.name
            out[f"{kind}_{i}.pb"] = value.SerializeToString()
    for name, value in more.items():
        out[f"{name}.pb"] = numpy_helper.from_array(np.asarray(value), name).SerializeToString()
    return out


def out_of_scope(case):
    """Why a node test is not for this program, or None."""
    graph = case.model.graph
    for node in graph.node:
        if node.op_type in REASON:
            return REASON[node.op_type]
        if node.domain not in ("", "ai.onnx"):
            return "classical machine learning" if node.domain == "ai.onnx.ml" else f"domain {node.domain}"
        for attribute in node.attribute:
            if attribute.type in (onnx.AttributeProto.SPARSE_TENSOR, onnx.AttributeProto.TENSORS):
                return "sparse tensors"
            if attribute.name == "training_mode" and attribute.i:
                return "training"
        if node.op_type == "Cast" and any(a.name == "to" and a.i not in TYPES for a in node.attribute):
            return "strings and text, or numbers of 8 bits and fewer"
    for value in [*graph.input, *graph.output, *graph.value_info]:
        kind = value.type.WhichOneof("value")
        if kind not in ("tensor_type", None):
            return "sequences, optionals, maps"
        if kind and value.type.tensor_type.elem_type not in TYPES:
            return "strings and text, or numbers of 8 bits and fewer"
    kinds = {n.op_type for n in graph.node}
    ranks = [len(v.type.tensor_type.shape.dim) for v in graph.input]
    spatial = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GridSample", "MaxUnpool", "Col2Im", "AffineGrid"}
    if kinds & spatial and ranks and ranks[0] == 5 or kinds == {"AffineGrid"} and "3d" in case.name:
        return "volumes"
    if "training_dropout" in case.name and "zero_ratio" not in case.name or "dropout_random" in case.name:
        return "training"
    return None


def node_cases():
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        yield case, out_of_scope(case)


def write_nodes(work):
    left = {}
    count = 0
    for case, why in node_cases():
        if why:
            left.setdefault(why, []).append(case.name)
            continue
        inputs, outputs = case.data_sets[0]
        save(work / "nodes" / case.name, case.model, inputs, outputs)
        count += 1
    print(f"{count} node tests in scope; out of scope:")
    for why, names in sorted(left.items()):
        print(f"  {why}: {len(names)}")


def weights_like(y):
    return np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)


def write_network(work, name, module, size, channels=3, dynamic=True):
    import torch

    torch.manual_seed(0)
    module = module.eval()
    # One image size may be asked for of those that take several.
    size = SMALL.get(name, size)
    folder = work / "networks" / name
    folder.mkdir(parents=True, exist_ok=True)
    x = torch.rand(1, channels, *size)

    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            y = self.inner(x)
            return y["out"] if isinstance(y, dict) else y

    first = First().eval()
    path = folder / "model.onnx"
    torch.onnx.export(first, (x,), str(path), dynamo=False, opset_version=17, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": {0: "n", 2: "h", 3: "w"}} if dynamic else None)
    x.requires_grad_(True)
    y = first(x)
    w = torch.from_numpy(weights_like(y.detach().numpy()))
    (gradient,) = torch.autograd.grad((y * w).sum(), x)
    finish(folder, path, x.detach().numpy(), w.numpy(), gradient.numpy())


def finish(folder, path, x, weight, gradient):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    outputs = session.run(None, {names[0]: x})
    model = onnx.load(str(path), load_external_data=False)
    for name, data in files(model, [x], outputs, weight=weight, gradient=gradient).items():
        if name != "model.onnx":
            (folder / name).write_bytes(data)


class UNet(__import__("torch").nn.Module):
    """The U-Net that everyone writes: two convolutions a level, batch norm, transposed convolutions, skips."""

    def __init__(self, channels=1, classes=2, base=16, depth=3):
        import torch.nn as nn

        super().__init__()

        def block(i, o):
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
                                 nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())

        sizes = [base << i for i in range(depth + 1)]
        self.down = nn.ModuleList([block(i, o) for i, o in zip([channels, *sizes], sizes)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(o, i, 2, 2) for i, o in zip(sizes, sizes[1:])])
        self.merge = nn.ModuleList([block(2 * i, i) for i in sizes[:-1]])
        self.head = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        import torch

        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
            x = torch.nn.functional.max_pool2d(x, 2)
        x = skips.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge)):
            x = merge(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


class Recurrent(__import__("torch").nn.Module):
    """Blocks as R2U-Net has them: a convolution that runs again on its input plus what it gave, around a sum."""

    def __init__(self, channels=3, width=8, classes=2):
        import torch.nn as nn

        super().__init__()
        self.first = nn.Conv2d(channels, width, 1)
        self.again = nn.ModuleList([nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
                                    for _ in range(2)])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        first = x = self.first(x)
        for again in self.again:
            x = again(x + again(x))
        return self.head(first + x)


class Residual(__import__("torch").nn.Module):
    """Blocks that add a shortcut behind the activation."""

    def __init__(self, channels=3, width=8, classes=2):
        import torch.nn as nn

        super().__init__()
        sizes = [channels, width, width]
        self.convs = nn.ModuleList([nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
                                    for i, o in zip(sizes, sizes[1:])])
        self.shortcuts = nn.ModuleList([nn.Conv2d(i, o, 1) for i, o in zip(sizes, sizes[1:])])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        for conv, shortcut in zip(self.convs, self.shortcuts):
            x = conv(x) + shortcut(x)
        return self.head(x)


def shaken(module):
    """Running statistics that are not 0 and 1, so that folding is seen."""
    import torch

    torch.manual_seed(2)
    for m in module.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.5, 1.5)
            m.weight.data.uniform_(0.7, 1.3)
            m.bias.data.normal_(0, 0.1)
    return module


def write_networks(work):
    import torch
    import torchvision.models as m
    from torchvision.models import segmentation as s

    torch.manual_seed(0)
    none = {"weights": None}
    # Its adaptive pooling can be exported only where it does nothing.
    if SMALL:
        # 7² pixels of 512 maps take a matrix of 411 MB, more than a buffer may have on some devices: without the pooling, 2².
        vgg = m.vgg16(**none)
        vgg.avgpool = torch.nn.Identity()
        vgg.classifier[0] = torch.nn.Linear(512 * 4, 4096)
        write_network(work, "vgg16", vgg, (64, 64), dynamic=False)
    else:
        write_network(work, "vgg16", m.vgg16(**none), (224, 224), dynamic=False)
    write_network(work, "resnet50", shaken(m.resnet50(**none)), (96, 96))
    write_network(work, "inception_v3", shaken(m.inception_v3(init_weights=False, transform_input=True, **none)), (107, 107))
    write_network(work, "densenet201", shaken(m.densenet201(**none)), (64, 64))
    write_network(work, "mobilenet_v2", shaken(m.mobilenet_v2(**none)), (96, 80))
    both = {"weights": None, "weights_backbone": None, "num_classes": 4}
    write_network(work, "deeplab_v3", shaken(s.deeplabv3_resnet50(**both)), (72, 64))
    write_network(work, "fcn", shaken(s.fcn_resnet50(**both)), (64, 72))
    write_network(work, "unet", shaken(UNet()), (64, 96), channels=1)
    write_network(work, "r2u", shaken(Recurrent()), (64, 72))
    write_network(work, "residual", shaken(Residual()), (64, 72))
    import segmentation_models_pytorch as smp

    write_network(work, "linknet", shaken(smp.Linknet("resnet18", encoder_weights=None)), (64, 96))


def of_size(model, given, size):
    """Whether a graph runs at another size than the one that it names, which is then named no more."""
    import onnxruntime

    shape = given.type.tensor_type.shape.dim
    old = [(d.dim_value, d.dim_param) for d in shape]
    for dim, name in zip(shape[2:], ("h", "w")):
        dim.dim_param = name
    kept = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in model.graph.output]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        batch = old[0][0] or 1
        session.run(None, {given.name: np.zeros((batch, old[1][0] or 3, *size), np.float32)})
        return True
    except Exception:
        for dim, (value, name) in zip(shape, old):
            if value:
                dim.dim_value = value
            else:
                dim.dim_param = name
        for output, before in zip(model.graph.output, kept):
            output.CopyFrom(before)
        return False


def write_published(work, data):
    import onnx2torch
    import torch

    for name, file, shape in [
        ("bioimageio_unet2d_nuclei", "weights.onnx", (1, 1, 512, 512)),
        ("lwnet", "wnet_drive.onnx", (1, 3, 512, 512)),
        ("resnet_cifar10", "resnet20.onnx", (1, 3, 32, 32)),
        ("convex_adversarial", "models_mnist.onnx", (1, 1, 28, 28)),
        ("vnncomp", "Convnet_maxpool.onnx", (1, 1, 28, 28)),
    ]:
        path = data / "models" / name / file
        if not path.exists():
            print(f"{path} is absent")
            continue
        folder = work / "networks" / name
        folder.mkdir(parents=True, exist_ok=True)
        model = onnx.load(str(path))
        given = [i for i in model.graph.input if i.name not in {t.name for t in model.graph.initializer}]
        dims = [d.dim_value for d in given[0].type.tensor_type.shape.dim]
        shape = tuple(d if d > 0 else s for d, s in zip(dims, shape)) if len(dims) == 4 else shape
        if name in SMALL:
            if not of_size(model, given[0], SMALL[name]):
                print(f"{name}: not at a smaller size")
            else:
                shape = (*shape[:2], *SMALL[name])
        (folder / "model.onnx").write_bytes(model.SerializeToString() if name in SMALL else path.read_bytes())
        x = np.random.default_rng(0).random(shape).astype(np.float32)
        weight = gradient = np.zeros(0, np.float32)
        try:
            # onnx2torch knows operators up to version 16 or so.
            older = model if model.opset_import[0].version <= 16 else onnx.version_converter.convert_version(model, 16)
            module = onnx2torch.convert(older).eval()
            t = torch.from_numpy(x).requires_grad_(True)
            y = module(t)
            y = y[0] if isinstance(y, (tuple, list)) else y
            weight = weights_like(y.detach().numpy())
            (g,) = torch.autograd.grad((y * torch.from_numpy(weight)).sum(), t)
            gradient = g.numpy()
        except Exception as error:  # onnx2torch does not know every operator
            print(f"{name}: no gradient from onnx2torch ({str(error).splitlines()[0]})")
        finish(folder, folder / "model.onnx", x, weight, gradient)


# Small tests of every family, which run without Python.
FIXTURE = """conv_with_autopad_same conv_with_strides_and_asymmetric_padding basic_conv_without_padding
    convtranspose_output_shape convtranspose_pads convtranspose_dilations convtranspose_autopad_same
    maxpool_2d_ceil maxpool_2d_dilations maxpool_2d_same_lower averagepool_2d_ceil averagepool_2d_pads_count_include_pad
    globalaveragepool gemm_all_attributes matmul_3d batchnorm_epsilon instancenorm_epsilon group_normalization_epsilon
    layer_normalization_4d_axis2 lrn prelu_broadcast elu selu gelu_tanh_1 hardswish mish softplus logsoftmax_axis_1
    clip_default_inbounds resize_upsample_scales_linear_align_corners resize_downsample_scales_cubic
    resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric resize_tf_crop_and_resize resize_downsample_scales_linear_antialias
    constant_pad reflect_pad edge_pad wrap_pad concat_2d_axis_1 split_variable_parts_2d_opset18 slice_neg_steps gather_1 gather_elements_0
    reshape_negative_extended_dims transpose_all_permutations_3 squeeze_negative_axes unsqueeze_unsorted_axes expand_dim_changed
    tile where_example reduce_log_sum_exp_do_not_keepdims_example argmax_keepdims_random_select_last_index
    depthtospace_crd_mode_example scatternd_add top_k_smallest cumsum_2d_axis_0 einsum_batch_matmul gridsample
    gridsample_bicubic triu_pos onehot_negative_indices range_int32_type_negative_delta mod_mixed_sign_int32 if
    affine_grid_2d_align_corners center_crop_pad_crop_and_pad center_crop_pad_crop_axes_hwc col2im_pads col2im_strides col2im_dilations
    maxunpool_export_with_output_shape bitshift_right_int8_negative_shift""".split()


def write_fixture():
    wanted = {f"test_{name}" for name in FIXTURE}
    with gzip.GzipFile(ROOT / "tests/fixtures/onnx-nodes.gz", "wb", mtime=0) as out:
        for case, _ in node_cases():
            if case.name not in wanted:
                continue
            wanted.remove(case.name)
            inputs, outputs = case.data_sets[0]
            parts = files(case.model, inputs, outputs)
            for name, data in parts.items():
                path = f"{case.name}/{name}".encode()
                out.write(struct.pack("<II", len(path), len(data)) + path + data)
    if wanted:
        sys.exit(f"not found: {sorted(wanted)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", nargs="?", type=Path)
    parser.add_argument("--fixture", action="store_true")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--only", choices=["nodes", "networks", "published"])
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--small", action="store_true", help="small images, for gradients on a GPU in software")
    args = parser.parse_args()
    if args.small:
        SMALL.update(SMALL_SIZES)
    if args.fixture:
        return write_fixture()
    if args.work is None:
        parser.error("a folder to work in")
    work = args.work.resolve()
    if args.only in (None, "nodes"):
        write_nodes(work)
    if args.only in (None, "networks"):
        write_networks(work)
    if args.only in (None, "published"):
        write_published(work, args.data)
    if not args.no_run:
        command = ["cargo", "test", "--release", "--test", "it", "onnx::against_others", "--", "--ignored", "--nocapture"]
        sys.exit(subprocess.run(command, cwd=ROOT, env={**os.environ, "ONNX_WORK": str(work)}).returncode)


if __name__ == "__main__":
    main()
