//! The U-Nets are those of the papers, and take images of any size.

use crate::fixture::{Fixture, dense, host, max_difference, parameters, path};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Model, ModelCard, SizeRule};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Channels, height and width of every level's output, in order, and of the logits.
fn shapes(config: &UNetConfig, size: usize) -> Vec<[usize; 3]> {
    let device = Device::flex();
    let x = Tensor::<4>::zeros([1, config.channels, size, size], &device);
    let network = config.init(&device).valid();
    let shape = |x: &Tensor<4>| [x.dims()[1], x.dims()[2], x.dims()[3]];
    let mut shapes = Vec::new();
    let logits = network.forward_seen(x, |level| shapes.push(shape(level)));
    shapes.push(shape(&logits));
    shapes
}

/// The same with every number of channels but the input's and output's divided by `by`, to save time.
fn thin(config: UNetConfig, by: usize) -> UNetConfig {
    UNetConfig { base: config.base / by, ..config }
}

#[test]
fn advu_net_has_the_shapes_of_its_table_1() {
    let config = UNetConfig::preset("advu-net").unwrap();
    assert_eq!((config.channels, config.dropout), (3, 0.5));
    let table = [
        [64, 224, 224],
        [128, 112, 112],
        [256, 56, 56],
        [512, 28, 28],
        [1024, 14, 14],
        [512, 28, 28],
        [256, 56, 56],
        [128, 112, 112],
        [64, 224, 224],
    ];
    let mut expected = table.map(|[c, h, w]| [c / 16, h, w]).to_vec();
    expected.push([1, 224, 224]);
    assert_eq!(shapes(&thin(config.clone(), 16), 224), expected);
    // Conv 1–18 are 3×3 with these outputs, conv 19 is 1×1; the up-sampling between levels is not in the table.
    let weights = parameters(&config.init(&Device::flex()));
    let convolutions = |name: &str| -> Vec<usize> { weights[name].0.clone() };
    let mut outputs = Vec::new();
    let levels = (0..4).map(|l| format!("down.{l}")).chain(["bottleneck".to_owned()]);
    for level in levels.chain((0..4).map(|l| format!("up.{l}.block"))) {
        for unit in ["first", "second"] {
            let shape = convolutions(&format!("{level}.{unit}.conv.weight"));
            assert_eq!(shape[2..], [3, 3]);
            outputs.push(shape[0]);
        }
    }
    assert_eq!(outputs, table.map(|[c, _, _]| [c, c]).concat());
    assert_eq!(convolutions("head.weight"), [1, 64, 1, 1]);
    assert_eq!(weights.keys().filter(|k| k.ends_with("weight") && !k.contains("transpose")).count(), 19);
}

#[test]
fn ronnebergers_network_maps_572_to_388() {
    let config = UNetConfig::preset("ronneberger").unwrap();
    assert_eq!((config.channels, config.base, config.depth, config.batch_norm), (1, 64, 4, false));
    assert_eq!((config.input_size(388), config.margin()), (572, 92));
    // Figure 1: sizes after both convolutions of each level.
    let sizes = [568, 280, 136, 64, 28, 52, 100, 196, 388];
    let channels = [64, 128, 256, 512, 1024, 512, 256, 128, 64];
    let mut expected: Vec<[usize; 3]> = sizes.iter().zip(channels).map(|(&s, c)| [c / 32, s, s]).collect();
    expected.push([1, 388, 388]);
    assert_eq!(shapes(&thin(config, 32), 572), expected);
}

#[test]
fn numbers_of_parameters_are_those_of_the_twins_in_pytorch() {
    let twins: BTreeMap<String, usize> =
        serde_json::from_str(&std::fs::read_to_string(path("parameters.json")).unwrap()).unwrap();
    assert_eq!(twins.len(), 3);
    for (name, twin) in twins {
        let config = UNetConfig::preset(&name).unwrap_or_else(|| UNetConfig::new(16, 4));
        // Running statistics are state, not parameters, here as there.
        let parameters: usize = parameters(&config.init(&Device::flex()))
            .iter()
            .filter(|(name, _)| !name.contains("running_"))
            .map(|(_, (shape, _))| shape.iter().product::<usize>())
            .sum();
        assert_eq!(parameters, twin, "{name}");
    }
}

/// The fixture's network under another size rule.
fn with_rule(fixture: &Fixture, size_rule: SizeRule) -> BuiltIn {
    let device = Device::flex();
    let card = ModelCard { size_rule, ..fixture.card.clone() };
    BuiltIn::new(card, &fixture.network(&device), &device).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_image_size_comes_back(height in 1usize..70, width in 1usize..70, batch in 1usize..3, rule in 0usize..4) {
        let name = if rule == 3 { "valid" } else { "same" };
        let rule = [SizeRule::MultipleOf(4), SizeRule::tile(16), SizeRule::tile(32), SizeRule::MultipleOf(4)][rule];
        let model = with_rule(&Fixture::open(name), rule);
        let x = Tensor::<4>::random([batch, 1, height, width], Distribution::Uniform(0.0, 1.0), &Device::flex());
        let logits = dense(model.logits(x).unwrap());
        prop_assert_eq!(logits.dims(), [batch, 1, height, width]);
        prop_assert!(host(logits).iter().all(|z| z.is_finite()));
    }
}

#[test]
fn a_size_that_fits_is_not_touched() {
    let fixture = Fixture::open("same");
    let model = with_rule(&fixture, SizeRule::MultipleOf(4));
    let logits = host(dense(model.logits(fixture.tensor("x", 0, &Device::flex())).unwrap()));
    assert!(max_difference(&logits, fixture.values("logits", 0)) <= 1e-4);
}

/// `image`, `[height, width]`, reflected without repeating its border: `size` pixels, the first of the image at
/// `origin`.
fn reflected(image: &[f32], [height, width]: [usize; 2], origin: usize, size: [usize; 2]) -> Tensor<4> {
    // Walks along the image and turns at each end.
    let walk = |length: usize, count: usize| -> Vec<usize> {
        let there_and_back: Vec<usize> = (0..length).chain((1..length - 1).rev()).collect();
        let start = there_and_back.len() * origin - origin;
        (0..count).map(|i| there_and_back[(start + i) % there_and_back.len()]).collect()
    };
    let columns = walk(width, size[1]);
    let values: Vec<f32> = walk(height, size[0])
        .into_iter()
        .flat_map(|row| columns.iter().map(move |column| image[row * width + column]).collect::<Vec<_>>())
        .collect();
    Tensor::from_data(TensorData::new(values, [1, 1, size[0], size[1]]), &Device::flex())
}

#[test]
fn what_is_padded_is_cut_back_at_the_right_place() {
    let device = Device::flex();
    let (height, width) = (37, 61);
    let image: Vec<f32> = (0..height * width).map(|i| (i * 7919 % 1009) as f32 / 1008.0).collect();
    let x = Tensor::<4>::from_data(TensorData::new(image.clone(), [1, 1, height, width]), &device);
    device.seed(11);
    let ronneberger = UNetConfig { base: 4, depth: 2, ..UNetConfig::ronneberger() };
    let fixture = Fixture::open("same");
    for (name, network, origin, size, of_logits) in [
        // The next multiples of 4, padded at the end alone.
        ("same", fixture.network(&device), 0, [40, 64], [40, 64]),
        // Each pair of convolutions loses 2 pixels a side: at full, half and a quarter of the resolution, and back, that
        // is 2 + 4 + 8 + 4 + 2 = 20. Sizes 4·b + 12 fit, so that 37 + 40 becomes 80 and 61 + 40 becomes 104.
        ("valid", ronneberger.init(&device), 20, [80, 104], [40, 64]),
    ] {
        let mut card = Fixture::open(name).card;
        if name == "valid" {
            card.network = Some(ronneberger.clone());
        }
        let bare = network.valid().forward(reflected(&image, [height, width], origin, size));
        assert_eq!(bare.dims(), [1, 1, of_logits[0], of_logits[1]], "{name}");
        let bare = host(bare);
        let by_hand: Vec<f32> = (0..height * width).map(|i| bare[i / width * of_logits[1] + i % width]).collect();
        let logits = host(dense(BuiltIn::new(card, &network, &device).unwrap().logits(x.clone()).unwrap()));
        let spread = max_difference(&by_hand, &vec![by_hand[0]; by_hand.len()]);
        let off = max_difference(&logits, &by_hand);
        println!("{name}: off by {off:.1e} of {spread:.1e}");
        assert!(off <= 1e-4 * spread, "{name}: off by {off} of {spread}");
    }
}

#[test]
fn tiles_equal_the_whole_image_where_the_receptive_field_allows() {
    let device = Device::flex();
    device.seed(3);
    // One level: a logit sees 2 + 2·2 + 2 pixels away, and one more by pooling. Tiles of 128 overlap by 16.
    let (reach, network) = (9, UNetConfig::new(6, 1));
    let unet = network.init(&device);
    let card = |size_rule| ModelCard {
        name: "tiles".into(),
        description: String::new(),
        channels: 1,
        head: Head::Sigmoid,
        size_rule,
        positive_class: 1,
        classes: ["no", "yes"].map(ClassInfo::new).into(),
        network: Some(network.clone()),
        ..ModelCard::default()
    };
    let x = Tensor::<4>::random([1, 1, 250, 314], Distribution::Uniform(0.0, 1.0), &device);
    let inner = |rule| {
        let logits = dense(BuiltIn::new(card(rule), &unet, &device).unwrap().logits(x.clone()).unwrap());
        // At the border the whole image sees zeros and a tile sees a reflection.
        host(logits.narrow(2, reach, 250 - 2 * reach).narrow(3, reach, 314 - 2 * reach))
    };
    let off = max_difference(&inner(SizeRule::MultipleOf(2)), &inner(SizeRule::tile(128)));
    assert!(off <= 1e-5, "off by {off}");
}
