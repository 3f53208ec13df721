//! ONNX files that cannot be run say why: which file, which node, what would work.

use crate::fixture::{dense, host};
use crate::onnx::smooth;
use crate::onnx_file::{Model, bytes, number};
use burn::tensor::{Device, Tensor};
use epsiloscope::model::onnx::Graph;

fn error(model: &Model) -> String {
    Graph::from_bytes("a.onnx", &model.bytes(), &Device::flex()).map(|_| ()).expect_err("it opens").to_string()
}

#[test]
fn what_cannot_be_run_says_why() {
    let relu = || Model::new(17).input("x", &[1, 1, 0, 0]).node("Relu", &["x"], &["y"]).output("y");
    assert!(Graph::from_bytes("a.onnx", &relu().bytes(), &Device::flex()).is_ok());
    let whole = smooth().bytes();
    for end in 0..whole.len() - 1 {
        assert!(Graph::from_bytes("a.onnx", &whole[..end], &Device::flex()).is_err(), "cut at {end} it opens");
    }
    let say = |model: Model, words: &[&str]| {
        let said = error(&model);
        assert!(words.iter().all(|w| said.contains(w)) && said.contains("a.onnx"), "{words:?}: {said}");
    };
    // What works, works: only the second output needs what is missing.
    let half = relu().node("NoSuch", &["y"], &["z"]).output("z");
    let half = Graph::from_bytes("a.onnx", &half.bytes(), &Device::flex()).unwrap();
    assert_eq!([half.is_supported(0), half.is_supported(1)], [true, false]);
    assert_eq!(half.unsupported()[0].operator, "NoSuch");
    let unsupported = Model::new(17).input("x", &[1, 1, 4, 4]).node("NoSuch", &["x"], &["z"]);
    say(unsupported.node("Other", &["z"], &["y"]).output("y"), &["NoSuch (node the NoSuch)", "Other", "Conv"]);
    say(Model::new(99).input("x", &[1]).node("Relu", &["x"], &["y"]).output("y"), &["version 99"]);
    say(
        Model::new(17).input("x", &[1]).node("Add", &["x", "b"], &["a"]).node("Relu", &["a"], &["b"]).output("b"),
        &["circle"],
    );
    say(Model::new(17).input("x", &[1]).node("Add", &["x", "q"], &["a"]).output("a"), &["\"q\"", "nothing makes"]);
    say(
        Model::new(17).input("x", &[1]).node("Relu", &["x"], &["a"]).node("Relu", &["x"], &["a"]).output("a"),
        &["twice"],
    );
    say(Model::new(17).input("x", &[1, 1, 4, 4, 4]).node("Relu", &["x"], &["y"]).output("y"), &["2-D images only"]);
    let with = |fields: &[u8], dims: &[i64]| {
        let model = Model::new(17).input("x", &[1, 1, 4, 4]).tensor("w", dims, fields);
        model.node("Add", &["x", "w"], &["y"]).output("y")
    };
    say(with(&bytes(9, &[0; 8]), &[3]), &["needs 12 bytes and has 8"]);
    say(with(&bytes(9, &[0; 8]), &[1 << 40, 1 << 40]), &["impossible shape"]);
    say(with(&bytes(9, &[0; 8]), &[-1]), &["negative"]);
    say(with(&bytes(9, &f32::NAN.to_le_bytes()), &[1]), &["NaN"]);
    say(with(&number(14, 1), &[1]), &["another file"]);
    // A shape that grows out of a few bytes is refused when it is made, not folded.
    let huge =
        Model::new(17).input("x", &[1, 1, 1, 1]).ints("s", &[1 << 20, 1 << 20]).node("ConstantOfShape", &["s"], &["c"]);
    let huge = huge.node("Add", &["x", "c"], &["y"]).output("y");
    let graph = Graph::from_bytes("a.onnx", &huge.bytes(), &Device::flex()).unwrap();
    let said = graph.forward(Tensor::zeros([1, 1, 1, 1], &Device::flex()), 0).unwrap_err().to_string();
    assert!(said.contains("ConstantOfShape") && said.contains("1048576"), "{said}");
}

#[test]
fn weights_beside_the_model_are_read_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    let values: Vec<u8> = [0.0f32, 7.0, 1.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(inner.join("weights.bin"), &values).unwrap();
    std::fs::write(folder.path().join("secret.bin"), &values).unwrap();
    let open = |location: &str, offset: i64| {
        let model = Model::new(17).input("x", &[1, 1, 1, 2]).external("w", &[2], location, offset);
        let path = inner.join("a.onnx");
        std::fs::write(&path, model.node("Add", &["x", "w"], &["y"]).output("y").bytes()).unwrap();
        Graph::open(&path, &Device::flex())
    };
    let graph = open("weights.bin", 8).unwrap();
    let x = Tensor::<4>::zeros([1, 1, 1, 2], &Device::flex());
    assert_eq!(host(dense(graph.forward(x, 0).unwrap())), [1.0, 2.0]);
    let absolute = folder.path().join("secret.bin");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&absolute, inner.join("link.bin")).unwrap();
    let refused = [
        ("../secret.bin", 0, "outside"),
        (absolute.to_str().unwrap(), 0, "outside"),
        ("absent.bin", 0, "cannot be read"),
        ("weights.bin", 12, "needs 8 bytes at 12"),
        #[cfg(unix)]
        ("link.bin", 0, "link that leaves"),
    ];
    for (location, offset, word) in refused {
        let said = open(location, offset).map(|_| ()).expect_err("it opens").to_string();
        assert!(said.contains(word) && said.contains("a.onnx"), "{location}: {said}");
    }
}

#[test]
fn wrong_inputs_name_the_node_and_the_shapes() {
    let graph = Graph::from_bytes("a.onnx", &smooth().bytes(), &Device::flex()).unwrap();
    let said = |shape| graph.forward(Tensor::zeros(shape, &Device::flex()), 0).unwrap_err().to_string();
    assert!(said([1, 3, 8, 8]).contains("x float[n, 2, n, n]"), "{}", said([1, 3, 8, 8]));
    let free = Model::new(17).input("x", &[]).weight("w", &[1, 2, 3, 3], &[0.5; 18]);
    let free = free.node("Conv", &["x", "w"], &["y"]).output("y");
    let graph = Graph::from_bytes("a.onnx", &free.bytes(), &Device::flex()).unwrap();
    for shape in [[1, 3, 8, 8], [1, 2, 2, 8]] {
        let said = graph.forward(Tensor::zeros(shape, &Device::flex()), 0).unwrap_err().to_string();
        assert!(said.contains("Conv (node the Conv)") && said.contains(&format!("{shape:?}")), "{said}");
    }
}

#[test]
fn a_small_file_that_asks_for_much_memory_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greedy.onnx");
    let open = |model: &Model| {
        std::fs::write(&path, model.bytes()).unwrap();
        epsiloscope::model::open(&path, &Device::flex())
    };
    let image = || Model::new(17).input("x", &[1, 3, 8, 8]);
    let grown = |scale: f32| {
        image()
            .weight("up", &[4], &[1.0, 1.0, scale, scale])
            .weight("down", &[4], &[1.0, 1.0, 1.0 / scale, 1.0 / scale])
            .node("Resize", &["x", "", "up"], &["a"])
            .node("Resize", &["a", "", "down"], &["y"])
            .output("y")
    };
    let flat = || image().ints("all", &[-1]).node("Reshape", &["x", "all"], &["v"]);
    let product = flat()
        .node_text("Einsum", &["v", "v", "v", "v"], &["e"], &[("equation", "a,b,c,d->abcd")])
        .node("ReduceSum", &["e"], &["s"])
        .node("Add", &["x", "s"], &["y"])
        .output("y");
    let outer = image()
        .ints("column", &[-1, 1])
        .ints("all", &[-1])
        .node("Concat", &["x", "x", "x", "x", "x", "x", "x", "x"], &["j"])
        .node("Concat", &["j", "j", "j", "j", "j", "j", "j", "j"], &["k"])
        .node("Reshape", &["k", "column"], &["v"])
        .node_number("Gemm", &["v", "v"], &["e"], &[("transB", 1)])
        .node("ReduceSum", &["e"], &["s"])
        .node("Add", &["x", "s"], &["y"])
        .output("y");
    let pooled = image()
        .node_with(
            "MaxPool",
            &["x"],
            &["p"],
            &[("kernel_shape", &[1 << 19, 1 << 19]), ("pads", &[1 << 18, 1 << 18, 1 << 18, 1 << 18])],
        )
        .node("ReduceMax", &["p"], &["s"])
        .node("Add", &["x", "s"], &["y"])
        .output("y");
    for (model, node) in [
        (grown(2500.0), "Resize"),
        (grown(3600.0), "Resize"),
        (product, "Einsum"),
        (outer, "Gemm"),
        (pooled, "MaxPool"),
    ] {
        let start = std::time::Instant::now();
        let said = open(&model).err().unwrap_or_else(|| panic!("{node} opens")).to_string();
        assert!(said.contains(node) && said.contains("GiB") && said.contains("card"), "{said}");
        assert!(start.elapsed().as_secs_f32() < 20.0, "{node}: {:?}", start.elapsed());
    }
    // With a card nothing is tried; what is then asked for keeps to the memory that was said.
    let model = open(&grown(4.0)).unwrap();
    epsiloscope::model::write_card(&path.with_extension("toml"), model.card()).unwrap();
    let model = epsiloscope::model::within(open(&grown(1500.0)).unwrap(), 64 << 20);
    let said = model.raw(Tensor::zeros([1, 3, 8, 8], &Device::flex())).unwrap_err().to_string();
    assert!(said.contains("Resize") && said.contains("12000") && said.contains("--memory"), "{said}");
}
