//! The names of weights in the U-Nets that people share, told apart and translated into those of this project's network.

use super::state::{Entry, StateDict};
use std::collections::BTreeMap;

/// Whose U-Net a state dict is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Naming {
    /// This project's.
    Own,
    /// github.com/milesial/Pytorch-UNet, `unet/unet_parts.py`: `inc.double_conv.0.weight`. Convolutions may have a bias in
    /// front of the batch normalisation; up-sampling is bilinear or transposed.
    Milesial,
    /// github.com/mateuszbuda/brain-segmentation-pytorch, `unet.py`: `encoder1.enc1conv1.weight`. What comes from below is
    /// concatenated in front of the skip connection.
    Buda,
}

/// A weight that each naming has, by which it is known.
const SIGNATURES: [(Naming, &str); 3] = [
    (Naming::Own, "down.0.first.conv.weight"),
    (Naming::Milesial, "inc.double_conv.0.weight"),
    (Naming::Buda, "encoder1.enc1conv1.weight"),
];

impl Naming {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Own => "Epsiloscope’s U-Net",
            Self::Milesial => "milesial’s Pytorch-UNet",
            Self::Buda => "mateuszbuda’s brain-segmentation U-Net",
        }
    }

    /// Whose names these are, and what stands before each (`module.`, `state_dict.`, or nothing).
    pub fn recognise(state: &StateDict) -> Option<(Self, String)> {
        SIGNATURES.into_iter().find_map(|(naming, signature)| {
            let prefix = state.tensors.keys().filter_map(|key| key.strip_suffix(signature));
            prefix.filter(|p| p.is_empty() || p.ends_with('.')).min_by_key(|p| p.len()).map(|p| (naming, p.to_owned()))
        })
    }

    /// The weights under this project's names, and the names that mean nothing.
    pub fn translate(self, prefix: &str, state: StateDict) -> (BTreeMap<String, Entry>, Vec<String>) {
        let StateDict { tensors, .. } = state;
        let levels = self.levels(prefix, tensors.keys());
        let mut unknown = Vec::new();
        let mut known = BTreeMap::new();
        for (name, entry) in tensors {
            match name.strip_prefix(prefix).and_then(|name| self.name(name, levels)) {
                Some(own) => drop(known.insert(own, entry)),
                None => unknown.push(name),
            }
        }
        fold_biases(&mut known);
        if self == Self::Buda {
            for level in 0..levels {
                if let Some(entry) = known.get_mut(&format!("up.{level}.block.first.conv.weight")) {
                    swap_halves(entry);
                }
            }
        }
        (known, unknown)
    }

    /// The name in the file of what this project calls `own`, in a network that halves the resolution `levels` times.
    pub fn written(self, prefix: &str, own: &str, levels: usize) -> String {
        let name = match self {
            Self::Own => None,
            Self::Milesial => to_milesial(own, levels),
            Self::Buda => to_buda(own, levels),
        };
        format!("{prefix}{}", name.as_deref().unwrap_or(own))
    }

    /// How often the resolution is halved.
    fn levels<'a>(self, prefix: &str, names: impl Iterator<Item = &'a String>) -> usize {
        let before = match self {
            Self::Own => "down.",
            Self::Milesial => "down",
            Self::Buda => "encoder",
        };
        let level = |name: &'a String| -> Option<usize> {
            let rest = name.strip_prefix(prefix)?.strip_prefix(before)?;
            rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
        };
        let highest = names.filter_map(level).max().unwrap_or(0).min(16);
        if self == Self::Own { highest + 1 } else { highest }
    }

    /// This project's name for `name`.
    fn name(self, name: &str, levels: usize) -> Option<String> {
        match self {
            Self::Own => Some(name.to_owned()),
            Self::Milesial => milesial(name, levels),
            Self::Buda => buda(name, levels),
        }
    }
}

/// `12.rest` → 12, `rest`.
fn numbered(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The parameter of a normalisation under burn's name.
fn norm(parameter: &str) -> Option<&str> {
    match parameter {
        "weight" => Some("gamma"),
        "bias" => Some("beta"),
        "running_mean" | "running_var" => Some(parameter),
        _ => None,
    }
}

fn milesial(name: &str, levels: usize) -> Option<String> {
    // Sequential(conv, norm, ReLU, conv, norm, ReLU)
    let double = |rest: &str| {
        let (index, parameter) = numbered(rest)?;
        Some(match index {
            0 => format!("first.conv.{parameter}"),
            1 => format!("first.norm.{}", norm(parameter)?),
            3 => format!("second.conv.{parameter}"),
            4 => format!("second.norm.{}", norm(parameter)?),
            _ => return None,
        })
    };
    if let Some(rest) = name.strip_prefix("inc.double_conv.") {
        return Some(format!("down.0.{}", double(rest)?));
    }
    if let Some(parameter) = name.strip_prefix("outc.conv.") {
        return Some(format!("head.{parameter}"));
    }
    if let Some((level, rest)) = name.strip_prefix("down").and_then(numbered) {
        let unit = double(rest.strip_prefix("maxpool_conv.1.double_conv.")?)?;
        return Some(if level == levels { format!("bottleneck.{unit}") } else { format!("down.{level}.{unit}") });
    }
    let (level, rest) = name.strip_prefix("up").and_then(numbered)?;
    let level = level.checked_sub(1)?;
    match rest.strip_prefix("up.") {
        Some(parameter) => Some(format!("up.{level}.transpose.{parameter}")),
        None => Some(format!("up.{level}.block.{}", double(rest.strip_prefix("conv.double_conv.")?)?)),
    }
}

fn buda(name: &str, levels: usize) -> Option<String> {
    let unit = |rest: &str, prefix: &str| {
        let (layer, parameter) = rest.strip_prefix(prefix)?.split_once('.')?;
        Some(match layer {
            "conv1" => format!("first.conv.{parameter}"),
            "norm1" => format!("first.norm.{}", norm(parameter)?),
            "conv2" => format!("second.conv.{parameter}"),
            "norm2" => format!("second.norm.{}", norm(parameter)?),
            _ => return None,
        })
    };
    if let Some(parameter) = name.strip_prefix("conv.") {
        return Some(format!("head.{parameter}"));
    }
    if let Some(rest) = name.strip_prefix("bottleneck.") {
        return Some(format!("bottleneck.{}", unit(rest, "bottleneck")?));
    }
    if let Some((level, rest)) = name.strip_prefix("encoder").and_then(numbered) {
        return Some(format!("down.{}.{}", level.checked_sub(1)?, unit(rest, &format!("enc{level}"))?));
    }
    if let Some((level, parameter)) = name.strip_prefix("upconv").and_then(numbered) {
        return Some(format!("up.{}.transpose.{parameter}", levels.checked_sub(level)?));
    }
    let (level, rest) = name.strip_prefix("decoder").and_then(numbered)?;
    Some(format!("up.{}.block.{}", levels.checked_sub(level)?, unit(rest, &format!("dec{level}"))?))
}

/// A layer of a unit, `first.norm.gamma`, as its number of two, whether it normalises, and its parameter under PyTorch's name.
fn layer(unit: &str) -> Option<(usize, bool, &str)> {
    let (which, rest) = unit.split_once('.')?;
    let (kind, parameter) = rest.split_once('.')?;
    let parameter = match parameter {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    };
    Some((usize::from(which == "second"), kind == "norm", parameter))
}

/// The inverse of [`milesial`].
fn to_milesial(own: &str, levels: usize) -> Option<String> {
    let double = |unit: &str| {
        let (which, norm, parameter) = layer(unit)?;
        Some(format!("double_conv.{}.{parameter}", 3 * which + usize::from(norm)))
    };
    if let Some(parameter) = own.strip_prefix("head.") {
        return Some(format!("outc.conv.{parameter}"));
    }
    if let Some(unit) = own.strip_prefix("bottleneck.") {
        return Some(format!("down{levels}.maxpool_conv.1.{}", double(unit)?));
    }
    if let Some((level, unit)) = own.strip_prefix("down.").and_then(numbered) {
        let unit = double(unit)?;
        return Some(if level == 0 { format!("inc.{unit}") } else { format!("down{level}.maxpool_conv.1.{unit}") });
    }
    let (level, rest) = own.strip_prefix("up.").and_then(numbered)?;
    Some(match rest.strip_prefix("transpose.") {
        Some(parameter) => format!("up{}.up.{parameter}", level + 1),
        None => format!("up{}.conv.{}", level + 1, double(rest.strip_prefix("block.")?)?),
    })
}

/// The inverse of [`buda`].
fn to_buda(own: &str, levels: usize) -> Option<String> {
    let unit = |unit: &str| {
        let (which, norm, parameter) = layer(unit)?;
        Some(format!("{}{}.{parameter}", if norm { "norm" } else { "conv" }, which + 1))
    };
    if let Some(parameter) = own.strip_prefix("head.") {
        return Some(format!("conv.{parameter}"));
    }
    if let Some(rest) = own.strip_prefix("bottleneck.") {
        return Some(format!("bottleneck.bottleneck{}", unit(rest)?));
    }
    if let Some((level, rest)) = own.strip_prefix("down.").and_then(numbered) {
        let level = level + 1;
        return Some(format!("encoder{level}.enc{level}{}", unit(rest)?));
    }
    let (level, rest) = own.strip_prefix("up.").and_then(numbered)?;
    let level = levels.checked_sub(level)?;
    Some(match rest.strip_prefix("transpose.") {
        Some(parameter) => format!("upconv{level}.{parameter}"),
        None => format!("decoder{level}.dec{level}{}", unit(rest.strip_prefix("block.")?)?),
    })
}

/// A convolution's bias in front of batch normalisation becomes part of the running mean: γ·(w∗x + b − μ)/σ + β.
fn fold_biases(tensors: &mut BTreeMap<String, Entry>) {
    let biases: Vec<String> = tensors.keys().filter(|k| k.ends_with(".conv.bias")).cloned().collect();
    for name in biases {
        let unit = name.trim_end_matches("conv.bias");
        let mean = format!("{unit}norm.running_mean");
        let fits = |mean: &Entry, bias: &Entry| mean.values.len() == bias.values.len();
        if !matches!((tensors.get(&mean), tensors.get(&name)), (Some(mean), Some(bias)) if fits(mean, bias)) {
            continue;
        }
        if let (Some(bias), Some(mean)) = (tensors.remove(&name), tensors.get_mut(&mean)) {
            mean.values.iter_mut().zip(bias.values).for_each(|(mean, bias)| *mean -= bias);
        }
    }
}

/// The input channels `[from below, skip]` of a convolution `[out, in, kh, kw]` → `[skip, from below]`.
fn swap_halves(entry: &mut Entry) {
    let [_, channels, height, width] = entry.shape[..] else { return };
    let half = channels / 2 * height * width;
    if channels % 2 == 0 && half > 0 {
        entry.values.chunks_exact_mut(2 * half).for_each(|filter| filter.rotate_left(half));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated() {
        let milesial = |name| milesial(name, 4);
        assert_eq!(milesial("inc.double_conv.4.running_var").unwrap(), "down.0.second.norm.running_var");
        assert_eq!(milesial("down3.maxpool_conv.1.double_conv.0.weight").unwrap(), "down.3.first.conv.weight");
        assert_eq!(milesial("down4.maxpool_conv.1.double_conv.1.weight").unwrap(), "bottleneck.first.norm.gamma");
        assert_eq!(milesial("up1.up.bias").unwrap(), "up.0.transpose.bias");
        assert_eq!(milesial("up4.conv.double_conv.3.weight").unwrap(), "up.3.block.second.conv.weight");
        assert_eq!(milesial("inc.double_conv.1.num_batches_tracked"), None);
        let buda = |name| buda(name, 4);
        assert_eq!(buda("encoder1.enc1conv1.weight").unwrap(), "down.0.first.conv.weight");
        assert_eq!(buda("bottleneck.bottlenecknorm2.bias").unwrap(), "bottleneck.second.norm.beta");
        assert_eq!(buda("upconv4.weight").unwrap(), "up.0.transpose.weight");
        assert_eq!(buda("decoder1.dec1conv2.weight").unwrap(), "up.3.block.second.conv.weight");
        assert_eq!(buda("decoder9.dec9conv2.weight"), None);
    }

    #[test]
    fn names_are_translated_back() {
        let units = ["first.conv.weight", "first.norm.gamma", "second.norm.beta", "second.norm.running_var"];
        let mut own = vec!["head.weight".to_owned(), "head.bias".to_owned()];
        for unit in units {
            own.push(format!("bottleneck.{unit}"));
            own.extend((0..4).flat_map(|level| [format!("down.{level}.{unit}"), format!("up.{level}.block.{unit}")]));
        }
        own.extend((0..4).map(|level| format!("up.{level}.transpose.weight")));
        for own in own {
            assert_eq!(milesial(&Naming::Milesial.written("", &own, 4), 4).as_ref(), Some(&own));
            assert_eq!(buda(&Naming::Buda.written("", &own, 4), 4).as_ref(), Some(&own));
        }
        assert_eq!(
            Naming::Milesial.written("module.", "down.0.second.conv.weight", 4),
            "module.inc.double_conv.3.weight"
        );
        assert_eq!(Naming::Own.written("", "head.bias", 4), "head.bias");
    }

    #[test]
    fn halves_of_the_input_channels_are_swapped() {
        let mut entry = Entry { shape: vec![2, 2, 1, 2], values: vec![1., 2., 3., 4., 5., 6., 7., 8.] };
        swap_halves(&mut entry);
        assert_eq!(entry.values, [3., 4., 1., 2., 7., 8., 5., 6.]);
    }
}
