"""One small image in every compressed transfer syntax that the intake reads.

Encoded once, by encoders that rcc-onnx does not need: pylibjpeg-openjpeg, pyjpegls, pydicom, GDCM,
Pillow and OpenJPH.
"""

import base64
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from rcc_onnx.dicom.header_privacy import without_quotes

SIZE = 32


@dataclass(frozen=True)
class Sample:
    """An encoded image.

    Attributes:
        uid: of the transfer syntax.
        bits: 16, or 8: then it is the image divided by 16.
        off_by: how far a decoded value may lie from the image's; 0 for lossless encodings.
        text: the codestream, deflated, in base 85.
    """

    name: str
    uid: str
    bits: int
    off_by: int
    text: str

    @property
    def codestream(self) -> bytes:
        return zlib.decompress(base64.b85decode(self.text))

    @property
    def image(self) -> NDArray[np.uint16]:
        """What decoding should give, as uint16 (32, 32)."""
        return ramp() if self.bits == 16 else ramp() // np.uint16(16)


def ramp() -> NDArray[np.uint16]:
    """A slope from corner to corner, uint16 (32, 32), 500 to 2515."""
    steps = np.arange(SIZE, dtype=np.uint16)
    slope: NDArray[np.uint16] = steps[:, np.newaxis] * np.uint16(40) + steps * np.uint16(25)
    return slope + np.uint16(500)


SAMPLES = (
    Sample(
        "RLE",
        "1.2.840.10008.1.2.5",
        16,
        0,
        "c-ozkQ;;1|5Qfjadq=UIbZmRW&BnHE8yjzI+qP}nwyljem@}TtJzM9oUoutGfBjuOQ{ThqCxnD~Z@7>A-{Yf"
        "x8lnb*lLlNtXK4$jU-i-wEY=OdVOP4~vQCBIR0SextU02=x-DA4e+i~&v%N05Y_EwV<|~m%n%Al5N;>PdWO}"
        "KJmSnTNAvtWXNrZJOQ8ry!_pYeq$Oh|{Y<a0lrfjpW%WllItg=ZIjisX)-W8Q?#bn)7Y%f*WP#o4Z1^&d%TD"
        "D2wDQl12|1PBut=E0r@&h+N`BD|C(Q)L$U6<dOkfunj&Z8FZx%$pdmaj_Np>wyLe?b%E2yZ@M`i7H_qGM%(3"
        "M~iC+;sZM?>Je?H10Eb&Cz?`L?~Xj+t_9MZ+s*v3s#37<5wKK_1T}gaLrDUi*{dmYbDKFxy_I{ThBdL<7Y3|"
        "tUt`#e&MB-FlYG|17~bJ_4rrp%%vOkp0xVN-LFErVs*NXSqd0jl021K51zf{EMRb@8upsF>hPT?z~DNJSg`Z"
        "bYa=mWaMRYGc=%JvSQ0R}eb+y@DGF3;4;b9Dzwxq#HSISQFt|Y4qP4q>Ua}W3xZD+6Ma<fK<|$xs4SG&kdFb"
        "|+5WwJu&);$Jm7XXUU~ub>KlmYMC{Z6UxNGm7<oT<%8wMC07YQ&pE)rmHTqMBYxJZD(aghLn<01hD$3+4Rj*"
        "A2s92W^NI4%-ka9kw7;J8SD!EuoQgX1Cr2FFGE2gHkfyZ",
    ),
    Sample(
        "JPEG, 8 bits",
        "1.2.840.10008.1.2.4.50",
        8,
        3,
        "c-s4a<NpH&0WUXCHwH#V1_nkTWcYuZ!I^=H5d=Ua69}*{gGg2u7G@SURyH;;X6NJpVs<t*4sH%kE)W2+c(}Q"
        "EK%D;v7`QnY6c`j383h^sA7PLO8qNwf6KDejFfuW-u(GiO^>PChY!v|7$;=G2i4|xKP_`B*&%h$cDx_%W$R-"
        "?^$gWf<V$?WsA&0Wl#)G0k7eA;NClxhua*2scNJ^=yscUFznV6cHTUc5-ySTc!dw6;UhlGZOM?^*?r=+H(XJ"
        "lp-mz0*3S5#Itx3spkcXW15nmlFdwCOWu&RVp1$<k%ZSFBvMY4et?+qUo6x$Ds3BS()NKXLNZrOQ{YUb}wd="
        "B<a19zS{d?D>nAuRebI{N?Mn?>~P2`hSao1LPljhCiDx>`}h_J$`9flz2;3-Rm#wPCI?*_rF^=^=3w#;LG3Z"
        "FYS4bCa_zV`;e`D>96qAg%$40-|hGMJQq#i%@%!*FMqGUjGfl{P;UONzuM<Y&;&N2*}DG!O#lbQvm*",
    ),
    Sample(
        "JPEG lossless (.57)",
        "1.2.840.10008.1.2.4.57",
        16,
        0,
        "c-s4a<Nsj>ZUF`b1_ee&L5BZF7{nMD85tRn0V^B-|62?kKvAIhfts7C(;~5;S#6P6CDIm7!!EG`yE)UcBu6b"
        "6wP4U&Q2+lX0|2>EWhw",
    ),
    Sample(
        "JPEG lossless (.70)",
        "1.2.840.10008.1.2.4.70",
        16,
        0,
        "c-s4a<Nsj>ZUF`b1_ee&L5BZF7{nMD85tRn0V^B-|62?kKvAIhfts7C(;~5;S#6P6CDIm7!!EG`yE)UcBu6b"
        "6wP4U&Q2+lX0|2>EWhw",
    ),
    Sample(
        "JPEG-LS",
        "1.2.840.10008.1.2.4.80",
        16,
        0,
        "c-s4a<NtRCZUF`b1_ee&L5BZ77<d`~|7Q?laAp)?aQJ_VfrF8e0SM|UlDQw<SQo55>BJM`&zp;lK5Z&0GBW)"
        "9{OoMAoSj8aPj?BNl5oA4vMNw*lE(`5<!Z}Rm#QpTqN3q9*DB@YWL2-WC>4*1N-mv(i`{yqOfr|v%3L<dQw4"
        "-P61qU-qAm>xTB_+4GzCcLDRMXow7`iD5ZF-Sf&?acYB8?eb~_h}ZaQ#6nfw3OPiA0@{$CG<MGg%5P-dk7gE"
        "*8~%K&HAd_XWCAea{r%mWDK1_W~ff;j;zvjH0uXffP52N>d^%;E-y{ZM8)17kgu>BGPTW!2AMV1+Ra7`UO#x"
        "&&m`z>Rf)8(Y-y|0V!b%lFU",
    ),
    Sample(
        "JPEG-LS, lossy",
        "1.2.840.10008.1.2.4.81",
        16,
        2,
        "c-jGk0ek-c*#Gwc3lIPx03ZPY5di=A01W~E{{R>OO#vbRK>ykR2mt{A0ssJU;W04sW5<sy^2;o8#~kN4&NGb"
        "T7{+mkLZMKosEJWg5~N0oikgY0nna0GBuJ8JB&8u*l&K;$CZbbODW;UAG%9IIQ%xvJRTWfJ(KM1x5=m7RQBh"
        "SD6%?dYMItFlQYk8ml&Vyes#2t-DwL%uSd>aql%)wuDpG`{MN~yZlSv_@nn_h8(NdyGB$7!aG?J>SimIxrs;"
        "I)cuBs}&`{EP^D{7vjirS~B;;8Di8jdRz>M>kXQJ4-YBT<TKDlt(UR8)-=22CPnl4&NANSUOPCSWpTxh~!Bx"
        "r6SPGo+b0Jeh#`IXO4qen2++?w2#k<WLzVdU|x}zRU%xzWeS^QVOeHuDv?!fL^!h_g&QmKTp%v^|TFpUe~ql"
        "P!Dz8cU{*YJwH#=`S}2E@9*#V0C)HI_uT{g`}_XT4}X7ue;_{o{{H-cH~07V_JDWy_xJe#|JeYmGP9N",
    ),
    Sample(
        "JPEG 2000",
        "1.2.840.10008.1.2.4.90",
        16,
        0,
        "c-s5#|38pHlK})2pcn>F`HcLGjQ@iectA`BRu&cp#{V%4!VV1`9TSkz{}cvQ21e(i)Wnk16osTp1^<H7Jg)#"
        "(cZIUlqT<Z_JOv{?Q$3^q6BxL_#+CuinSB0_0T1Us{{!+fM3}!ZGcd3-YuX>+KOn^L=O6>mw;x}*ZPwgBz<!"
        "IH!JZ*NNuvD7Mdte5XN(UpzhZCT-=bo+u+>sRAkuc3iHXq?)<+@-7(aJ5uwN01Uw+(ZXWt4o{<&*39qi<Gcz"
        "FN62>{R*Ng@",
    ),
    Sample(
        "JPEG 2000, lossy",
        "1.2.840.10008.1.2.4.91",
        16,
        40,
        "c-s5#|38pHlK})2pcn>F`HcLGjQ@iectA`BRu&cphW{}P%1+xAwtWD?1M3;qGpu{CJOBtYCa?mb`}E5|nDjq"
        "|L6w2gxhOTUBsE1LsZzneAT`e`z|~!$EVZaOGe1wkNY7Ny=>G%;F0eJ185sXhKL2Nj0DG*E{Q>?T><sk>449"
        "4fvsl_6VE@3+V86kF=hySP2~7LBZIZfIb@m@%{v^=Af5k&dLV1VvQl&R9*ET4(tr6YNTz|ux_w$?^5C2YFd`"
        "VDigUbE`%x^>*`1hokEu5|~GcjGUfg#UOCil?0%WrZ{*e)}P{Frb`D0IR+A@1HEUfM6k^UhuTK4J3#hM(OB7"
        "{AP7h+lrZ%}`M4wA#A^2A0Q#AD%ub;Fb{IK6j0#!>d;&Za?cMFfdlGwVM|F%4<jRlb{Cv|2F}A_JsZ",
    ),
    Sample(
        "HTJ2K",
        "1.2.840.10008.1.2.4.201",
        16,
        0,
        "c-s5#|38pH(}4j96rdOeQ2C7fjEw&S7&sW1fE=#>K@2=V79#^I3yTBe{}={gg^meGprfPXe+q**1EYUIYMxh"
        "sheB9tk%EDqk(r*c-v0><Two*jF);q0e1Ji%@H;De3Bv&fp#u!U3=^1u>}`LU+Cd`14h+H#Cr&Unl`!1O`pw"
        "WB0u&Q9U|@|%+8FU?RUuO;L(a_`H~t+kY<#l~Bz1v-b;-KdyMXBVsj8}irV55lMl*fXCZGKGx5J_On<C?zT|"
        "i~J6%4Ew7zCU+6kEW=&;MLiU{JtR%iwpsPzHwn{jW%HV&9+0A@{dMq57LZ<D1Ql|8D{SZ?R_C",
    ),
    Sample(
        "HTJ2K, lossy",
        "1.2.840.10008.1.2.4.203",
        16,
        4,
        "c-s5#|38pH(}4j96rdOeQ2C7fjEw&S7&sW1fE=y=K@2=V79#^I3yTB8{}={krR@^iUIF2r^$hD7);(J81B59"
        "Pn1Rr3`XwMt{GY-g&cNtjkecTe;GqzfTBKm0XJn>ltoMHc0~gqaAO^<&lMgU3TAbebfP=k+0mw9AU=U`gdB+"
        "0eC7fbu2Z=GQVqg$WC|%KPzV|0%(-wx^4W7FhCjVnRwgo83x}JeS>_Sakpp>am#)R|X8X)=u!`y`~k<%GGID"
        "?v|D5yS8Fy=D@6HEdO#~Bzd>;!5Q_hn#+jabB>Aadwo3lhn~2qOP^YRGx9Pij0O+Tb~tAu3~Gs~DItRm+~S#"
        "&D%!WO7jQrejNvJ&|RW5P8{?5M07AIZEZi21cO4$v}f&tST0mG_QHW7nznN&lOZ`*%e<}a(JG1^r+%<s{GHW"
        "T8{+l7}j!^F$TFnfK;OM4UXOof>MdfCWqWIT6!;VNG}vLb5j1p{$Gcog{$O{faYZmhvhzsOtZJH4ci)ZHOrd"
        "u|4jgom6;d",
    ),
)


# Whether the decoders that are installed here decode: each is given a small image to try.


@dataclass(frozen=True)
class Decoding:
    """What became of one transfer syntax.

    Attributes:
        name: of the encoding.
        uid: of the transfer syntax.
        problem: why images in it cannot be decoded here; "" if they can.
    """

    name: str
    uid: str
    problem: str


def try_decoders() -> tuple[Decoding, ...]:
    """Decode one small image in every transfer syntax that the intake reads."""
    return tuple(_all())


def _all() -> Iterator[Decoding]:
    plain = Sample("uncompressed", str(ExplicitVRLittleEndian), 16, 0, "")
    for sample in (plain, *SAMPLES):
        try:
            problem = _problem(sample)
        except (KeyboardInterrupt, SystemExit):
            raise
        # Decoders are many, and so are their exceptions, some of which are no Exception.
        except BaseException as error:
            problem = without_quotes(str(error)) or type(error).__name__
        yield Decoding(sample.name, sample.uid, problem)


def _problem(sample: Sample) -> str:
    decoder = get_decoder(UID(sample.uid))
    if not decoder.is_available:
        return f"missing: {'; '.join(decoder.missing_dependencies)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = pixel_array(_dataset(sample))
    if given.shape != (SIZE, SIZE):
        return f"decoded to the shape {given.shape}"
    off = int(np.abs(given.astype(np.int64) - sample.image).max())
    return f"decoded values are wrong by up to {off}" if off > sample.off_by else ""


def _dataset(sample: Sample) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(sample.uid)
    dataset.Rows = dataset.Columns = SIZE
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = sample.bits
    dataset.HighBit = sample.bits - 1
    dataset.PixelRepresentation = 0
    if sample.text:
        dataset.PixelData = encapsulate([sample.codestream])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = ramp().astype("<u2").tobytes()
    dataset["PixelData"].VR = "OB" if sample.text else "OW"
    return dataset
