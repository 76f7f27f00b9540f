//! What a TorchScript file would run: its operators, read from its code without loading it.
//!
//! A TorchScript file is a program. Most of its operators compute; some open, map or write files, and loading
//! it may already run them. An archive holds the program as text, in `code/`: every operator that is not known
//! to do nothing but compute is listed, and whoever loads the file is told.
//!
//! ```text
//! theirs.pt -- files ending in .py --> tokens --> torch.X, ops.N.X, x.method( --> not in ALLOWED: listed
//! ```

use std::collections::BTreeSet;
use std::io::{Cursor, Read};

use zip::ZipArchive;

/// Why the code of a file cannot be read.
pub(super) type Unreadable = String;

/// No program of a segmentation network is longer, in bytes.
const LONGEST: u64 = 64 << 20;

/// Operators of `torch.` that do nothing but compute; each is allowed with `_` after it as well.
const ALLOWED: &str = "
    abs absolute acos add addbmm addcdiv addcmul addmm addmv adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d alias all alpha_dropout amax amin
    any append arange argmax argmin argsort as_strided as_tensor asin atan atan2 avg_pool1d avg_pool2d
    avg_pool3d baddbmm batch_norm bilinear bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_tensors
    broadcast_to bucketize cat ceil celu channel_shuffle chunk clamp clamp_max clamp_min clear clip clone
    col2im complex concat concatenate constant_pad_nd contiguous conj conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d conv_transpose3d convolution copy cos cosh cosine_similarity cpu cross cuda cudnn_is_acceptable
    cummax cummin cumprod cumsum dequantize detach device diag diagonal dim div divide dot dropout einsum elu
    embedding empty empty_like endswith eq equal erf erfc exp expand expand_as expm1 extend eye feature_alpha_dropout
    feature_dropout fill find flatten flip fliplr flipud float floor floor_divide floordiv fmod format frac full
    full_like gather ge gelu get glu greater greater_equal grid_sampler grid_sampler_2d group_norm gt hardsigmoid
    hardswish hardtanh has_torch_function hstack im2col index index_add index_copy index_fill index_put
    index_select insert instance_norm int interpolate inverse is_complex is_contiguous is_cuda is_floating_point
    is_nonzero is_scripting isfinite isinf isnan item items keys kthvalue layer_norm le leaky_relu len lerp less
    less_equal lift_fresh linear linspace list log log10 log1p log2 log_softmax logical_and logical_not logical_or
    logical_xor logsumexp lower lstrip lt manual_seed masked_fill masked_scatter masked_select matmul max max_pool1d
    max_pool2d max_pool3d max_unpool2d maximum mean median meshgrid min minimum mish mm moveaxis movedim mul mul
    multiply mv nan_to_num narrow native_batch_norm native_group_norm native_layer_norm ne neg neg new_empty new_full
    new_ones new_zeros nonzero norm normalize not numel one_hot ones ones_like ord pad percentFormat permute
    pixel_shuffle pixel_unshuffle pop positive pow prelu prod quantile rand rand_like randn randn_like reciprocal
    reflection_pad1d reflection_pad2d relu relu6 remainder remove repeat repeat_interleave replace replication_pad1d
    replication_pad2d requires_grad reshape reshape_as resize_as reverse roll rot90 round rrelu rsqrt rsub
    scalar_tensor scaled_dot_product_attention scatter scatter_add select select_scatter selu setdefault sigmoid
    sign silu sin sinh size slice slice_scatter softmax softplus softshrink sort split split_with_sizes sqrt square
    squeeze stack startswith std std_mean storage_offset str stride strip sub subtract sum swapaxes swapdims t
    take tan tanh tensor tensor_split threshold tile to topk transpose tril triu trunc true_divide type_as
    unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze update upper upsample_bicubic2d upsample_bilinear2d
    upsample_nearest1d upsample_nearest2d upsample_trilinear3d values var var_mean view view_as vstack warn where
    zero zeros zeros_like
    _adaptive_avg_pool2d _convolution _convolution_mode _cast_Float _cast_Half _log_softmax _pack_padded_sequence
    _reshape_alias _shape_as_tensor _softmax _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    __and__ __contains__ __derive_index __getitem__ __interpolate __is__ __isnot__ __not__ __or__ __range_length
    __round_to_zero_floordiv __upsample __upsample_bilinear __xor__ _set_item wrapped_linear_prepack
    Size Tensor Device Generator ScalarType layout dtype strided memory_format contiguous_format channels_last
    bool float16 float32 float64 half double bfloat16 int8 int16 int32 int64 long short uint8
    autocast_mode
";

/// The same of `ops.prim.`, which hold a program together.
const PRIM: &str = "
    AutogradZero ConstantChunk ListConstruct ListUnpack NumToTensor RaiseException TupleConstruct TupleIndex
    TupleUnpack abs annotate data device dtype enumerate is_cpu is_cuda is_nested is_quantized itemsize layout
    isinstance max min name range rangelist requires_grad shape tolist type unchecked_cast unchecked_unwrap_optional
    uninitialized unpack zip
";

/// Calls by a bare name: the language's own.
const PLAIN: &str = "
    Any Dict Exception Final Future List NamedTuple None Optional Tensor Tuple Union abs all annotate any bool chr
    complex dict divmod enumerate float hasattr hash hex int isinstance iter len list max min oct ord pow
    print range reversed round set sorted str sum super tuple type unchecked_cast uninitialized zip assert and or not
    if elif else while for in is return raise with def class del lambda import from as
";

/// Every operator of an archive's code that is not known to do nothing but compute.
pub(super) fn unknown(bytes: &[u8]) -> Result<BTreeSet<String>, Unreadable> {
    if !bytes.starts_with(b"PK") {
        return Err("not the archive that torch.jit.save writes".into());
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let (mut names, mut program, mut left) = (BTreeSet::new(), Vec::new(), LONGEST);
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|e| e.to_string())?;
        // libtorch looks names up without regard to case.
        let name = file.name().to_lowercase();
        if !names.insert(name.clone()) {
            return Err(format!("two files of the name {name}"));
        }
        if name.ends_with("/model.json") || name == "model.json" {
            return Err("of a format before PyTorch 1.4; save it anew".into());
        }
        if !name.ends_with(".py") {
            continue;
        }
        let mut text = String::new();
        let read = file.take(left).read_to_string(&mut text).map_err(|e| format!("{name}: {e}"))? as u64;
        left -= read;
        if left == 0 {
            return Err(format!("its code has more than {LONGEST} bytes"));
        }
        program.push(tokens(&text).map_err(|reason| format!("{name}: {reason}"))?);
    }
    let own: BTreeSet<&str> = program.iter().flat_map(|tokens| definitions(tokens)).collect();
    Ok(program.iter().flat_map(|tokens| listed(tokens, &own)).collect())
}

/// A word, a sign of one character, or a text with a quote before it. Comments are none.
type Token = String;

/// The tokens of a program, as libtorch's lexer cuts them where it matters here.
fn tokens(text: &str) -> Result<Vec<Token>, Unreadable> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '\'' | '"' => {
                let quote = match rest.get(..3) {
                    Some(three) if three.chars().all(|c| c == first) => three,
                    _ => &rest[..1],
                };
                let length = string(rest, quote).ok_or("a text without end")?;
                // With a quote before it, it is no name.
                tokens.push(format!("\"{}", &rest[quote.len()..length - quote.len()]));
                length
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let end = end.unwrap_or(rest.len());
                tokens.push(rest[..end].to_owned());
                end
            }
            c if c.is_whitespace() || c == '\\' => c.len_utf8(),
            c => {
                tokens.push(c.to_string());
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Length of the string literal at the beginning, quotes and all.
fn string(text: &str, quote: &str) -> Option<usize> {
    let mut at = quote.len();
    loop {
        let rest = text.get(at..)?;
        let next = rest.chars().next()?;
        match next {
            _ if rest.starts_with(quote) => return Some(at + quote.len()),
            '\\' => at += 1 + rest.chars().nth(1)?.len_utf8(),
            '\n' if quote.len() == 1 => return None,
            next => at += next.len_utf8(),
        }
    }
}

/// Names that the program itself gives to functions and classes.
fn definitions(tokens: &[Token]) -> impl Iterator<Item = &str> {
    let defined = |pair: &[Token]| matches!(pair[0].as_str(), "def" | "class");
    tokens.windows(2).filter(move |pair| defined(pair)).map(|pair| pair[1].as_str())
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Whether an operator is in a list, as it is or in place.
fn is_in(list: &str, name: &str) -> bool {
    let in_place = name.strip_suffix('_').filter(|stem| !stem.ends_with('_'));
    list.split_whitespace().any(|known| known == name || Some(known) == in_place)
}

/// Operators of a program that are not known to do nothing but compute.
fn listed(tokens: &[Token], own: &BTreeSet<&str>) -> Vec<String> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut listed = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_word(token(at)) && (at == 0 || token(at - 1) != ".");
        if !begins {
            // A method of something that is no name: (x + y).method(...)
            let method = token(at) == "." && is_word(token(at + 1)) && token(at + 2) == "(";
            if method && !allowed_method(token(at + 1), own) {
                listed.push(format!("{}()", token(at + 1)));
            }
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while token(end) == "." && is_word(token(end + 1)) {
            end += 2;
        }
        let chain: Vec<&str> = (at..end).step_by(2).map(token).collect();
        let called = token(end) == "(";
        let fine = match chain.as_slice() {
            ["torch", name] => is_in(ALLOWED, name),
            ["torch", "backends", ..] | ["torch", "jit", "is_scripting"] => true,
            ["ops", "prim", name] => is_in(PRIM, name),
            // Other operators, and the names of all of them: what is done with those is not seen.
            ["torch" | "ops", ..] => false,
            // Classes written in C++, and functions of the file itself.
            ["__torch__", "torch", "classes", ..] => false,
            ["__torch__", ..] => true,
            // A part of a network that is called 0, 1, ...; by any other name it could be an operator.
            ["getattr"] => called && attribute(&tokens[end..]).is_some_and(numbered),
            [name] if called => is_in(PLAIN, name) || own.contains(name),
            [_, .., method] if called => allowed_method(method, own),
            _ => true,
        };
        if !fine {
            listed.push(chain.join("."));
        }
        at = end;
    }
    listed
}

/// The name that a call of `getattr` asks for, from its parenthesis on: the text at its end.
fn attribute(arguments: &[Token]) -> Option<&str> {
    let end = arguments.iter().position(|token| token == ")")?;
    arguments[..end].last()?.strip_prefix('"')
}

fn numbered(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains('\\')
}

fn allowed_method(name: &str, own: &BTreeSet<&str>) -> bool {
    is_in(ALLOWED, name) || own.contains(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::FileOptions;

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            zip.start_file(*name, FileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn of(code: &str) -> Vec<String> {
        let bytes = archive(&[("net/data.pkl", ""), ("net/code/__torch__.py", code)]);
        unknown(&bytes).unwrap().into_iter().collect()
    }

    const NETWORK: &str = r#"class Net(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  training : bool
  conv : __torch__.torch.nn.modules.conv.Conv2d
  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
    _0 = torch.conv2d(x, self.weight, None, [1, 1], [0, 0], [1, 1], 1)
    if torch.gt(torch.len(torch.size(_0)), 3):  # a comment of torch.save
      _1 = torch.format("use torch.save(\"x\") for {}", "torch.from_file")
      ops.prim.RaiseException(_1)
    else:
      pass
    w = (getattr(self.layers, "0")).forward(x, )
    y = (self.conv).forward(torch.relu_(_0), )
    z = annotate(List[int], [int(ops.prim.NumToTensor(torch.size(x, 2)))])
    return torch.upsample_bilinear2d(y, z, False, None)
"#;

    #[test]
    fn a_network_that_computes_has_nothing_to_list() {
        assert_eq!(of(NETWORK), Vec::<String>::new());
    }

    #[test]
    fn whatever_reaches_beyond_arithmetic_is_listed() {
        for (line, expected) in [
            ("a = torch.from_file(\"/etc/passwd\", True, 10)", "torch.from_file"),
            ("torch.save(x, \"/tmp/x\")", "torch.save"),
            ("torch . save(x, \"/tmp/x\")", "torch.save"),
            ("f = torch.from_file", "torch.from_file"),
            ("t = torch\n    t.from_file(\"x\")", "torch"),
            ("\"/tmp/x\".from_file(True, 3)", "from_file()"),
            ("(\"/tmp/x\").from_file(True, 3)", "from_file()"),
            ("x.from_file(True, 3)", "x.from_file"),
            ("ops.aten.from_file(\"x\")", "ops.aten.from_file"),
            ("ops.image.read_file(\"x\")", "ops.image.read_file"),
            ("a = __torch__.torch.classes.mine.Shell(\"x\")", "__torch__.torch.classes.mine.Shell"),
            ("(x).y.from_file(True, 3)", "from_file()"),
            ("a = getattr(x, \"from_file\")(True, 3)", "getattr"),
            ("a = getattr(x, \"\\x66rom_file\")(True, 3)", "getattr"),
            ("g = getattr", "getattr"),
            ("eval(\"x\")", "eval"),
            ("x = \"\"\"a\"b\"\"\"; torch.save(x, \"y\")", "torch.save"),
        ] {
            let code = format!("{NETWORK}    {line}\n");
            let listed = of(&code);
            assert!(listed.iter().any(|name| name == expected), "{line}: {listed:?}");
        }
    }

    #[test]
    fn code_is_found_wherever_libtorch_would_find_it() {
        let save = "def f(x: Tensor) -> Tensor:\n  torch.save(x, \"y\")\n";
        let hidden = archive(&[("net/code/__torch__.py", NETWORK), ("net/CODE/__torch__/sub.PY", save)]);
        assert!(unknown(&hidden).unwrap().contains("torch.save"));
        let twice = archive(&[("net/code/a.py", NETWORK), ("net/code/A.py", save)]);
        assert!(unknown(&twice).unwrap_err().contains("two files"));
        assert!(unknown(b"a flatbuffer").is_err());
        assert!(unknown(&archive(&[("net/model.json", "{}")])).unwrap_err().contains("1.4"));
    }
}
