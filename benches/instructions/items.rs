//! What is counted: the kernels one by one, forwards and backwards, and what is made of them.

use crate::callgrind::counted;
use crate::cnn;
use burn::module::Param;
use burn::nn::conv::Conv2dConfig;
use burn::nn::{BatchNormConfig, PaddingConfig2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use epsiloscope::attack::{Attack, Objective, Options, input_gradient};
use epsiloscope::data::Mask;
use epsiloscope::kernel::{Activation, Convolution, Pool, UpConvolution, max_pool_2x2, scaled, train};
use epsiloscope::model::{BuiltIn, Head, Model, prediction};
use std::hint::black_box;

/// The side of the images that layers are given, and of those of the bundled model.
const SIDE: usize = 64;
const IMAGE: usize = 64;

/// An item that is run some times.
pub type Item = Box<dyn FnMut()>;

/// `value`s the same on every machine, in [−½, ½).
fn values<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let of = |i: usize| ((i * 2_654_435_761) >> 9) % 256;
    let values: Vec<f32> = (0..count).map(|i| of(i) as f32 / 256.0 - 0.5).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// `layer` of `x`.
fn forward<T: 'static>(x: Tensor<4>, layer: impl Fn(Tensor<4>) -> T + 'static) -> Item {
    Box::new(move || {
        let mut x = Some(x.clone());
        counted(&mut || drop(black_box(x.take().map(&layer))));
    })
}

/// The way back of `layer`, without the way there.
fn backward(x: Tensor<4>, layer: impl Fn(Tensor<4>) -> Tensor<4> + 'static) -> Item {
    back_of(move || layer(x.clone().autodiff().require_grad()))
}

fn back_of(forward: impl Fn() -> Tensor<4> + 'static) -> Item {
    Box::new(move || {
        let sum = forward().sum();
        let mut gradients: Option<Gradients> = None;
        counted(&mut || gradients = Some(sum.backward()));
    })
}

/// A frozen convolution of `[outputs, channels, kernel, kernel]` with a ReLU.
fn convolution(shape: [usize; 4], stride: usize, dilation: usize) -> impl Fn(Tensor<4>) -> Tensor<4> + Clone {
    let padding = dilation * (shape[2] / 2);
    let options = ConvOptions::new([stride; 2], [padding; 2], [dilation; 2], 1);
    let layer = Convolution::new(values(shape), Some(values([shape[0]])), options, &[shape[1]], Activation::Relu);
    move |x| layer.forward(x)
}

/// The training's layers: of normalisation what goes in is tracked, of a convolution its weights alone.
fn training() -> [Item; 4] {
    let x = || values([2, 16, SIDE, SIDE]);
    let device = Device::flex().autodiff();
    let norm = BatchNormConfig::new(16).init(&device);
    let normalised = move |x| train::normalisation(&norm, x);
    let mut conv =
        Conv2dConfig::new([16, 16], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(&device);
    conv.weight = Param::from_tensor(values([16, 16, 3, 3]).autodiff());
    let convolved = move || train::convolution(&conv, x().autodiff(), None, true);
    let there = convolved.clone();
    [
        forward(x().autodiff(), normalised.clone()),
        backward(x(), normalised),
        forward(x(), move |_| there()),
        back_of(convolved),
    ]
}

/// The bundled model: a forward pass, a gradient, an ε tick.
fn bundled() -> [Item; 3] {
    let device = Device::flex();
    let model = std::rc::Rc::new(BuiltIn::bundled(&device).unwrap());
    let x = values([1, 1, IMAGE, IMAGE]) + 0.5;
    let classes = x.clone().lower_elem(0.25).int().into_data().iter::<i64>().map(|c| c as u8).collect();
    let mask = Mask { height: IMAGE, width: IMAGE, classes };
    let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
    let direction = Attack::FGSM.direction(&*model, &x, &objective, &Options::default()).unwrap().unwrap();
    let with = || (model.clone(), x.clone(), objective.clone());
    let logits = {
        let (model, x, _) = with();
        forward(x, move |x| model.logits(x).unwrap())
    };
    let gradient = {
        let (model, x, objective) = with();
        forward(x, move |x| input_gradient(&*model, &x, &objective).unwrap())
    };
    let tick = {
        let (model, x, _) = with();
        forward(x, move |x| {
            let image = direction.adversarial(&x, 4.0 / 255.0);
            prediction(model.card(), model.logits(image).unwrap()).unwrap()
        })
    };
    [logits, gradient, tick]
}

/// Two steps of PGD on ten images and a small classifier.
fn small() -> Item {
    let (model, (x, y)) = (cnn::Cnn::new(&Device::flex()), cnn::images());
    let x = Tensor::from_data(TensorData::new(x[..10 * 784].to_vec(), [10, 1, 28, 28]), &Device::flex());
    let objective = Objective::classes(Head::Softmax, 1, &y[..10], &Device::flex());
    let attack = Attack::parse("pgd", &["steps=2", "step=0.1"]).unwrap();
    forward(x, move |x| attack.run_through(&model, &x, &objective, &[0.1; 10], &Options::default()).unwrap())
}

/// All items with their names.
pub fn all() -> Vec<(&'static str, Item)> {
    let x = |channels: usize| values([1, channels, SIDE, SIDE]);
    let both = |names: [&'static str; 2], x: Tensor<4>, layer: &dyn Fn() -> Box<dyn Fn(Tensor<4>) -> Tensor<4>>| {
        let (there, back) = (layer(), layer());
        [(names[0], forward(x.clone(), there)), (names[1], backward(x, back))]
    };
    // Dilated, so that Winograd's way is not open; the plain one is Winograd's.
    let direct = convolution([16, 16, 3, 3], 1, 2);
    let strided = convolution([32, 16, 3, 3], 2, 1);
    let pointwise = convolution([32, 32, 1, 1], 1, 1);
    let winograd = convolution([16, 16, 3, 3], 1, 1);
    let up = UpConvolution::new(values([32, 16, 2, 2]), Some(values([16])));
    let any_pool = Pool { kernel: [3, 3], stride: [2, 2], before: [1, 1], output: [SIDE / 2; 2] };
    let (factor, summand) = (values([16]), values([16]));
    let mut all = Vec::new();
    all.extend(both(["direct", "direct-gradient"], x(16), &|| Box::new(direct.clone())));
    all.extend(both(["strided", "strided-gradient"], x(16), &|| Box::new(strided.clone())));
    all.extend(both(["pointwise", "pointwise-gradient"], x(32), &|| Box::new(pointwise.clone())));
    all.extend(both(["winograd", "winograd-gradient"], x(16), &|| Box::new(winograd.clone())));
    all.extend(both(["up", "up-gradient"], x(32), &|| {
        let up = up.clone();
        Box::new(move |x| up.forward(x))
    }));
    all.extend(both(["pool", "pool-gradient"], x(16), &|| Box::new(max_pool_2x2)));
    all.extend(both(["pool-3x3", "pool-3x3-gradient"], x(16), &|| {
        Box::new(move |x| any_pool.apply(x).unwrap_or_else(|x| x))
    }));
    all.extend(both(["scale-relu", "scale-relu-gradient"], x(16), &|| {
        let (factor, summand) = (factor.clone(), summand.clone());
        Box::new(move |x| scaled(x, factor.clone(), summand.clone(), Activation::Relu))
    }));
    let names = ["norm-relu", "norm-relu-gradient", "trained-convolution", "weight-gradient"];
    all.extend(names.into_iter().zip(training()));
    all.extend(["unet", "unet-gradient", "unet-tick"].into_iter().zip(bundled()));
    all.push(("cnn-pgd", small()));
    all
}
