//! The project's own networks as [`Model`]s: loaded with their card, frozen, folded, fitted to any image size.

use super::about::{About, Facts};
use super::fit::{Course, Fit, any_size};
use super::frozen::FrozenUNet;
use super::memory::usual_bytes;
use super::prepare::{finish, prepare};
use super::recompute::Function;
use super::unet::{UNet, UNetConfig};
use super::weights::{self, Format, Found, Naming, StateDict};
use super::{
    Activation, CardFrom, ClassInfo, Head, InputRule, Logits, Model, ModelCard, ModelError, SizeRule, Task, Tiles,
    Watch, ZScore, card_file, check_wanted,
};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::path::Path;
use std::sync::Arc;

/// Weights of the bundled model.
const BUNDLED_WEIGHTS: &[u8] = include_bytes!("../../assets/membranes-unet.safetensors");
/// Card of the bundled model.
const BUNDLED_CARD: &str = include_str!("../../assets/membranes-unet.toml");

/// A [`UNet`] with its card, in evaluation mode.
#[derive(Clone)]
pub struct BuiltIn {
    card: ModelCard,
    network: FrozenUNet,
    device: Device,
    facts: Arc<Facts>,
    /// Bytes that a gradient may take, if somebody said so.
    memory: Option<u64>,
}

impl BuiltIn {
    /// Wraps a network: freezes it and folds its batch normalisation.
    ///
    /// # Errors
    /// If the card does not describe a network that can work.
    pub fn new(card: ModelCard, network: &UNet, device: &Device) -> Result<Self, ModelError> {
        check(&card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
        let network = FrozenUNet::new(network.valid().to_device(device));
        Ok(Self { card, network, device: device.clone(), facts: Arc::default(), memory: None })
    }

    /// The same function by the definition's multiplications only: to measure what Winograd's way changes.
    #[must_use]
    pub fn without_winograd(&self) -> Self {
        Self { network: self.network.without_winograd(), ..self.clone() }
    }

    /// The model that comes with the program: cell membranes in serial-section electron micrographs.
    ///
    /// # Errors
    /// If the device fails.
    pub fn bundled(device: &Device) -> Result<Self, ModelError> {
        let path = Path::new("bundled membranes-unet.safetensors");
        let card = card_file::parse(path, BUNDLED_CARD)?;
        let network = read_network(path, &card, BUNDLED_WEIGHTS.to_vec(), device)?;
        let facts = Facts { format: "bundled with the program".to_owned(), ..Facts::default() };
        Ok(Self { facts: facts.into(), ..Self::new(card, &network, device)? })
    }

    /// Reads the weights of a U-Net (safetensors, burnpack or a PyTorch state dict) with the card beside them (`<weights>.toml`,
    /// or `model.toml` in the folder), or with a card guessed from names and shapes.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the weights are those of another network or not finite.
    pub fn load(weights: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::load_watched(weights, device, CardFrom::Beside, Watch::nobody())
    }

    /// [`BuiltIn::load`], watched, with a card from where `card` says.
    pub(super) fn load_watched(
        weights: &Path,
        device: &Device,
        card: CardFrom<'_>,
        watch: Watch<'_>,
    ) -> Result<Self, ModelError> {
        let opened = UNetFile::read_watched(weights, device, card, watch)?;
        let UNetFile { card, network, facts } = opened;
        Ok(Self { facts: facts.into(), ..Self::new(card, &network, device)? })
    }

    fn fit(&self) -> Fit<'_> {
        Fit { rule: self.card.size_rule, unet: self.card.network.as_ref(), lost: 0 }
    }

    fn function(&self) -> Function {
        let network = self.network.clone();
        Arc::new(move |x| {
            check_wanted()?;
            Ok(network.forward(x))
        })
    }

    /// What the gradient takes at so many pixels. Measured with base 16 and depth 4 at 1024² and 1024 × 1536: 685 bytes a pixel on the
    /// CPU in the kernels of this program, 1265 where each layer is burn's own, as on GPUs. The finest level dominates, and its share
    /// grows with the base.
    fn bytes(&self, pixels: u64) -> u64 {
        let of_pixel_and_base = if self.device == Device::flex() { 48 } else { 80 };
        let base = self.card.network.as_ref().map_or(64, |network| network.base as u64);
        pixels.saturating_mul(base * of_pixel_and_base)
    }

    fn try_course(&self, size: [usize; 2]) -> Result<(Course, Option<Tiles>), String> {
        let whole = self.bytes((size[0] as u64).saturating_mul(size[1] as u64));
        let reach = || self.card.network.as_ref().ok_or("its network is not known")?.reach();
        let memory = self.memory.unwrap_or_else(usual_bytes);
        self.fit().course(size, self.card.channels, (whole, memory), reach, |pixels| self.bytes(pixels))
    }

    /// How an image is computed with; whole, if it is refused anyway.
    fn course(&self, size: [usize; 2]) -> Course {
        self.try_course(size).map_or(Course::Whole, |(course, _)| course)
    }

    /// Writes `network`'s weights to `weights` (burnpack if it ends in `.bpk`, else safetensors) and the card beside it,
    /// each whole or not at all.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(weights: &Path, card: &ModelCard, network: &UNet) -> Result<(), ModelError> {
        weights::write(weights, network)?;
        card_file::write(&weights.with_extension("toml"), card)
    }
}

/// A U-Net as its file holds it: not folded, to be trained on or converted.
pub struct UNetFile {
    /// Read from beside the weights, or guessed.
    pub card: ModelCard,
    /// With the file's weights.
    pub network: UNet,
    pub(super) facts: Facts,
}

impl UNetFile {
    /// Reads a file; see [`BuiltIn::load`].
    ///
    /// # Errors
    /// As [`BuiltIn::load`].
    pub fn read(path: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::read_watched(path, device, CardFrom::Beside, Watch::nobody())
    }

    fn read_watched(path: &Path, device: &Device, card: CardFrom<'_>, watch: Watch<'_>) -> Result<Self, ModelError> {
        let head = card_file::head(path)?;
        let format = Format::of(&head).ok_or_else(|| {
            let hint = "Open a .safetensors, .bpk, .pt or .pth file";
            ModelError::file(path, "holds no weights in a format known here", hint)
        })?;
        let found = weights::find_network(path, StateDict::read(path, format, watch)?)?;
        let mut facts = Facts { path: Some(path.to_owned()), format: format.name().to_owned(), ..Facts::default() };
        facts.format = format!("{}, {}", facts.format, found.naming.title());
        let using = |card: ModelCard| {
            let card = ModelCard { network: card.network.or_else(|| Some(found.config.clone())), ..card };
            let fault = |cause: String| ModelError::Card { name: card.name.clone(), cause };
            check(&card).map_err(fault)?;
            weights::compare(path, network_of(&card).map_err(fault)?, &found, device).map_err(fault)?;
            Ok(card)
        };
        let (card, refused) = card.used(path, using)?;
        facts.refused_card = refused;
        let card = match card {
            Some(card) => card,
            None => guessed(path, &found, &mut facts.guessed),
        };
        check(&card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
        // Counters of batches mean nothing to any network that is not trained.
        let counters = |name: &&str| name.ends_with("num_batches_tracked");
        let unused: Vec<&str> = found.unused.iter().map(String::as_str).filter(|name| !counters(name)).collect();
        if !unused.is_empty() && found.naming != Naming::Own {
            let tensors = if unused.len() == 1 { "tensor is" } else { "tensors are" };
            facts.notes.push(format!("{} {tensors} not used ({})", unused.len(), unused.join(", ")));
        }
        let config = network_of(&card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
        let network = weights::fill(
            path,
            config,
            found.tensors,
            found.naming == Naming::Own,
            |own| found.naming.written(&found.prefix, own, found.config.depth),
            device,
        )?;
        Ok(Self { card, network, facts })
    }

    /// What was guessed, because no card lies beside the weights.
    pub fn guessed(&self) -> &[String] {
        &self.facts.guessed
    }
}

/// The card of a network that was recognised, with a line for each thing that its weights do not say.
fn guessed(path: &Path, found: &Found, lines: &mut Vec<String>) -> ModelCard {
    let config = &found.config;
    let classes = match config.outputs {
        1 => vec![ClassInfo::new("background"), ClassInfo::new("foreground")],
        n => (0..n)
            .map(|i| ClassInfo::new(if i == 0 { "background".to_owned() } else { format!("class {i}") }))
            .collect(),
    };
    let input = match found.naming {
        Naming::Buda => InputRule { z_score: Some(ZScore::Channel), ..InputRule::default() },
        Naming::Own | Naming::Milesial => InputRule::default(),
    };
    lines.push(match found.naming {
        Naming::Own => "max pooling and padded convolutions: weights do not say".to_owned(),
        Naming::Milesial => "input in [0, 1], as its training code scales".to_owned(),
        Naming::Buda => {
            "input with mean 0 and deviation 1 in each channel of each image, as its example does".to_owned()
        }
    });
    lines.push(match config.outputs {
        1 => "one output: a sigmoid, whose positive class is the foreground".to_owned(),
        n => format!("{n} outputs: a softmax; class 1 is measured"),
    });
    if config.channels == 3 {
        lines.push("three channels: red, green, blue".to_owned());
    }
    ModelCard {
        name: card_file::name(path),
        description: String::new(),
        channels: config.channels,
        head: if config.outputs == 1 { Head::Sigmoid } else { Head::Softmax },
        size_rule: config.size_rule(),
        input,
        classes,
        network: Some(config.clone()),
        ..ModelCard::default()
    }
}

/// The unfolded network of the bytes of a safetensors file, for training on.
///
/// # Errors
/// If the weights are malformed, not finite, or of another network than the card says.
pub fn read_network(path: &Path, card: &ModelCard, bytes: Vec<u8>, device: &Device) -> Result<UNet, ModelError> {
    check(card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
    let config = network_of(card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
    let state = StateDict::from_safetensors(path, &bytes)?;
    drop(bytes);
    weights::fill(path, config, state.tensors, true, str::to_owned, device)
}

/// The network that a card describes.
fn network_of(card: &ModelCard) -> Result<&UNetConfig, String> {
    card.network.as_ref().ok_or_else(|| "it does not describe the network that the weights belong to".to_owned())
}

/// What must hold of a card before memory is asked for.
fn check(card: &ModelCard) -> Result<(), String> {
    card.check()?;
    let n = network_of(card)?;
    let sizes_fit = (1..=4).contains(&n.channels)
        && (1..=64).contains(&n.outputs)
        && (1..=7).contains(&n.depth)
        && (1..=256).contains(&n.base)
        && (n.base << n.depth) <= 4096
        && (0.0..1.0).contains(&n.dropout);
    if !sizes_fit {
        return Err(format!("its network has impossible sizes: {n:?}"));
    }
    n.check().map_err(|cause| format!("its network cannot work: {cause}"))?;
    if card.channels != n.channels {
        return Err(format!("it says {} channels and its network takes {}", card.channels, n.channels));
    }
    if card.task != Task::Segmentation {
        return Err("a U-Net segments: its task must be segmentation".to_owned());
    }
    if card.output.activation != Activation::None || card.output.name.is_some() {
        return Err("a U-Net puts out logits under no name".to_owned());
    }
    let channel = card.output.channel;
    if channel.is_none() && card.outputs() != n.outputs || channel.is_some_and(|channel| channel >= n.outputs) {
        let classes = card.classes.len();
        return Err(format!("its network has {} outputs, which do not fit its head and {classes} classes", n.outputs));
    }
    let multiple = 1 << n.depth;
    match card.size_rule {
        SizeRule::Any if multiple > 1 => Err(format!("its size rule must be a multiple of {multiple}")),
        SizeRule::MultipleOf(m) if m != multiple => Err(format!("its size rule must be a multiple of {multiple}")),
        SizeRule::Tile(sides) | SizeRule::Resize(sides)
            if sides.iter().any(|&s| s < multiple || s % multiple != 0 || s > 4096) || n.margin() > 0 =>
        {
            Err(format!("its tile size must be a multiple of {multiple}, with same padding"))
        }
        _ => Ok(()),
    }
}

impl Model for BuiltIn {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let x = prepare(x, &self.card)?;
        let [_, _, height, width] = x.dims();
        let z = any_size(x, self.fit(), &self.course([height, width]), &self.function())?;
        finish(Logits::Dense(z), &self.card, true)
    }

    fn raw(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let ([_, channels, height, width], Some(network)) = (x.dims(), &self.card.network) else {
            return self.logits(x);
        };
        if channels != network.channels {
            return Err(ModelError::Channels { image: channels, model: network.channels });
        }
        let fits = |side: usize| {
            let output = side.saturating_sub(2 * network.margin());
            output > 0 && network.input_size(output) == side
        };
        if !fits(height) || !fits(width) {
            let cause = format!("its network does not take {height} × {width} as it is");
            return Err(ModelError::Card { name: self.card.name.clone(), cause });
        }
        Ok(Logits::Dense(match self.course([height, width].map(|side| side - 2 * network.margin())) {
            Course::Tiles(plan) => plan.run(&x, &self.function())?,
            Course::Whole | Course::Own => self.network.forward(x),
        }))
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        match self.tiles(height, width) {
            Ok(Some(tiles)) => tiles.needed,
            _ => self.bytes((height as u64).saturating_mul(width as u64)),
        }
    }

    fn tiles(&self, height: usize, width: usize) -> Result<Option<Tiles>, String> {
        Ok(self.try_course([height, width])?.1)
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn within(&self, bytes: u64) -> Option<Arc<dyn Model>> {
        Some(Arc::new(Self { memory: Some(bytes), ..self.clone() }))
    }

    fn facts(&self) -> Facts {
        (*self.facts).clone()
    }

    fn about(&self, [height, width]: [usize; 2]) -> About {
        let facts = self.facts();
        let Some(config) = &self.card.network else { return About { facts, ..About::default() } };
        let parameters = self.network.parameters() as u64;
        About {
            facts,
            inputs: vec![format!("image [batch, {}, height, width]", config.channels)],
            outputs: vec![format!("logits [batch, {}, height, width]", config.outputs)],
            output_names: Vec::new(),
            operators: config.operators(),
            parameters,
            weight_bytes: 4 * parameters,
            size: [height, width],
            flops: Some(config.flops([config.input_size(height), config.input_size(width)])),
            gradient_bytes: self.working_bytes(height, width),
        }
    }

    fn with_card(&self, card: ModelCard) -> Result<Arc<dyn Model>, ModelError> {
        let card = ModelCard { network: card.network.or_else(|| self.card.network.clone()), ..card };
        let fault = |cause: String| ModelError::Card { name: card.name.clone(), cause };
        check(&card).map_err(fault)?;
        // Folded weights serve every card of the same network.
        let same = |card: &ModelCard| card.network.clone().map(|n| UNetConfig { dropout: 0.0, ..n });
        if same(&card) != same(&self.card) {
            return Err(fault("it describes another network than the weights were loaded into".to_owned()));
        }
        let facts = Facts { guessed: Vec::new(), refused_card: None, ..(*self.facts).clone() };
        Ok(Arc::new(Self { card, facts: facts.into(), ..self.clone() }))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { network: self.network.to_device(device), device: device.clone(), ..self.clone() })
    }
}
