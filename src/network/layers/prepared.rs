//! Convolutions with weights in the order of the CPU's library, oneDNN, that rectify what they write.
//!
//! libtorch's convolution brings its weights into that order at every call, and a ReLU after it is another pass over
//! memory. Its own compiler does neither: it calls operations (`mkldnn::`) that only scripts can name. So there is a script
//! here, of one line each.

use std::io::{Cursor, Write};
use std::sync::OnceLock;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::FileOptions;

use super::convolution::{ConvOptions, Rectifier, convolve};

/// The script, in TorchScript's own notation.
const SCRIPT: &str = include_str!("operations.torchscript");
/// An object of the script's class without attributes, and no constants, both pickled.
const OBJECT: &[u8] = b"\x80\x02c__torch__\nOperations\n)\x81}b.";
const CONSTANTS: &[u8] = b"\x80\x02).";
/// Version of the operators that the script means.
const VERSION: &[u8] = b"3\n";

/// The script as a file that libtorch loads: a zip archive of the object, its code and its constants.
fn archive() -> Result<Vec<u8>, ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let files = [
        ("data.pkl", OBJECT),
        ("code/__torch__.py", SCRIPT.as_bytes()),
        ("constants.pkl", CONSTANTS),
        ("version", VERSION),
    ];
    for (name, bytes) in files {
        let stored = FileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(format!("operations/{name}"), stored)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Why there are no such operations.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("packing the script: {0}")]
    Archive(ZipError),
    #[error(transparent)]
    Library(#[from] TchError),
    #[error("they differ by {0}")]
    Different(f64),
}

/// The operations, where this CPU's libtorch has them for numbers of `kind`.
fn operations(kind: Kind) -> Option<&'static CModule> {
    static SINGLE: OnceLock<Option<CModule>> = OnceLock::new();
    static HALF: OnceLock<Option<CModule>> = OnceLock::new();
    let known = match kind {
        Kind::Float => &SINGLE,
        Kind::BFloat16 => &HALF,
        _ => return None,
    };
    let try_out = || {
        let tried = tch::no_grad(|| tried(kind));
        let warn = |why: &Missing| {
            tracing::warn!("convolutions in {kind:?} are not prepared for this CPU and take longer: {why}");
        };
        tried.inspect_err(warn).ok()
    };
    known.get_or_init(try_out).as_ref()
}

/// Loads the operations and tries them out.
fn tried(kind: Kind) -> Result<CModule, Missing> {
    let module = CModule::load_data(&mut &archive().map_err(Missing::Archive)?[..])?;
    // Sums that every kind holds exactly.
    let steps = |size: &[i64]| {
        let count = size.iter().product::<i64>();
        let steps = Tensor::arange(count, (Kind::Float, Device::Cpu)).remainder(7.) - 3.;
        steps.reshape(size).to_kind(kind)
    };
    let (x, weight, bias) = (steps(&[1, 8, 5, 6]), steps(&[4, 8, 3, 3]), steps(&[4]));
    let options = ConvOptions::same(3).stride(2);
    let prepared = Prepared::with(&module, &weight, Some(&bias), options, &x)?;
    let found = prepared.f_run(&module, &x, Rectifier::Relu)?;
    let apart = (found - convolve(&x, &weight, Some(&bias), options).relu()).abs().max();
    match apart.to_kind(Kind::Double).double_value(&[]) {
        0. => Ok(module),
        apart => Err(Missing::Different(apart)),
    }
}

/// A convolution for inputs of one shape and kind.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// In an order that only the library reads.
    weight: Tensor,
    bias: Option<Tensor>,
    options: ConvOptions,
    shape: Vec<i64>,
    kind: Kind,
}

impl Prepared {
    /// For inputs like `x`; `None` where they are not on a CPU that can.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions, x: &Tensor) -> Option<Self> {
        let module = (x.device() == Device::Cpu).then(|| operations(x.kind())).flatten()?;
        Some(Self::with(module, weight, bias, options, x).expect("an operation that was tried out"))
    }

    fn with(
        module: &CModule,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvOptions,
        x: &Tensor,
    ) -> Result<Self, TchError> {
        let (shape, kind) = (x.size(), x.kind());
        let cast = |t: &Tensor| t.detach().to_kind(kind);
        let weight = [IValue::Tensor(cast(weight))].into_iter();
        let arguments: Vec<IValue> =
            weight.chain(geometry(options)).chain([IValue::IntList(shape.clone())]).collect();
        let weight = tensor(module.method_is("reorder", &arguments)?)?;
        Ok(Self { weight, bias: bias.map(cast), options, shape, kind })
    }

    /// Whether inputs like `x` are expected, under so many zeros on each side.
    pub(crate) fn is_for(&self, x: &Tensor, padding: i64) -> bool {
        self.kind == x.kind()
            && self.options.padding == padding
            && x.device() == Device::Cpu
            && self.shape == x.size()
    }

    /// Convolves and rectifies `x`, channels last.
    pub fn run(&self, x: &Tensor, rectifier: Rectifier) -> Tensor {
        let module = operations(self.kind).expect("prepared by it");
        self.f_run(module, x, rectifier).expect("an input as prepared for")
    }

    fn f_run(&self, module: &CModule, x: &Tensor, rectifier: Rectifier) -> Result<Tensor, TchError> {
        let method = match rectifier {
            Rectifier::Linear => "linear",
            Rectifier::Relu => "relu",
            Rectifier::Relu6 => "relu6",
        };
        let clone = |t: &Tensor| IValue::Tensor(t.shallow_clone());
        let tensors = [clone(x), clone(&self.weight), self.bias.as_ref().map_or(IValue::None, clone)];
        let arguments: Vec<IValue> = tensors.into_iter().chain(geometry(self.options)).collect();
        tensor(module.method_is(method, &arguments)?)
    }
}

/// Padding, stride, dilation and groups, as the script takes them.
fn geometry(options: ConvOptions) -> [IValue; 4] {
    [options.padding, options.stride, options.dilation, options.groups].map(IValue::Int)
}

fn tensor(value: IValue) -> Result<Tensor, TchError> {
    match value {
        IValue::Tensor(tensor) => Ok(tensor),
        other => Err(TchError::Kind(format!("{other:?} is no tensor"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::channels_last;

    #[test]
    fn prepared_layers_give_what_the_library_gives() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
            for options in [
                ConvOptions::same(1),
                ConvOptions::same(3).stride(2),
                ConvOptions::same(3).dilated(2),
                ConvOptions::same(5).groups(16).padding(1),
            ] {
                let x = channels_last(&random(&[2, 16, 9, 14]));
                let weight = random(&[16, 16 / options.groups, options.kernel, options.kernel]);
                for (bias, rectifier) in [
                    (Some(random(&[16])), Rectifier::Linear),
                    (Some(random(&[16])), Rectifier::Relu6),
                    (None, Rectifier::Relu),
                ] {
                    let plain = rectifier.apply(convolve(&x, &weight, bias.as_ref(), options));
                    let Some(prepared) = Prepared::new(&weight, bias.as_ref(), options, &x) else {
                        // Half precision is not every CPU's.
                        assert_eq!(kind, Kind::BFloat16, "libtorch has the operations");
                        continue;
                    };
                    assert!(prepared.is_for(&x, options.padding));
                    assert!(!prepared.is_for(&x.narrow(0, 0, 1), options.padding));
                    assert!(!prepared.is_for(&x, options.padding + 1));
                    let found = prepared.run(&x, rectifier);
                    assert_eq!((found.size(), found.kind()), (plain.size(), kind));
                    let apart = (found - &plain).abs().max().to_kind(Kind::Float).double_value(&[]);
                    let most = if kind == Kind::Float { 1e-5 } else { 1e-2 };
                    let range = plain.abs().max().to_kind(Kind::Float).double_value(&[]);
                    assert!(
                        apart <= most * range,
                        "{kind:?}, {options:?}, {rectifier:?}: {apart} of {range}"
                    );
                }
            }
        }
    }
}
