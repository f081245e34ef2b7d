"""The characters in which Python's codecs differ from the WHATWG Encoding standard.

Found by decoding every pair of bytes with Python and with Chromium's TextDecoder. Three cells in which Chromium
itself differs from the standard (EUC-JP A1A1, Big5 8862 and its like) are left as Python has them.
"""

from __future__ import annotations

SINGLE_BYTE_CHANGES = {"koi8-u": ((0xAE, "ў"), (0xBE, "Ў")), "windows-1255": ((0xCA, "\u05ba"),)}

# of multi-byte encodings: what Python gives, and what the standard has instead
GB18030_CHANGES = str.maketrans(
    "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7\u1e3f\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
    "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f\ue7c7\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
)
BIG5_CHANGES = str.maketrans("\u2022\uff64\u203e\u223c\u2641\u2609¥¢£", "\u2027\ufe51\u00af\uff5e\u2295\u2299￥￠￡")
SHIFT_JIS_CHANGES = str.maketrans("\uf8f0\uf8f1\uf8f2\uf8f3", "\ufffd" * 4)
EUC_JP_CHANGES = str.maketrans("〜‖−¢£¬", "～∥－￠￡￢")
BIG5_SLASHES = {b"\xa2A": "\u2215", b"\xa2B": "\ufe68"}  # Python has the characters of A1FE and A240 for them

_BIG5_RUNS = {  # HKSCS-2008 and the control pictures of Eten, by their first pair
    0x877A: "㡵𡵓𣚞𦀡㻬",
    0x87A1: "𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆㓦珄𥶹"
    "瓆鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋",
    0xA3C0: "␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟␡€",
}
_BIG5_SINGLE = (  # pairs that Python has elsewhere, or not at all
    "8e69箸 8e6f簆 8e7e糎 8eab緒 8eb4縝 8ecd者 8ed0耨 8f57菁 8f69蒨 8f6e萏 8fcb覦 8fcc覩 "
    "8ffe起 906d都 907a銹 90dc靜 90f1響 91bf鼖 9244蔃 92af兙 92b0兛 92b1兝 92b2兞 92c8鍮 "
    "92d1瑹 9447浧 94ca禛 95d9邗 9644靝 96ed瀞 96fc嬨 9b76爁 9b78矗 9b7b纇 9bc6駖 9bde釔 "
    "9bec惞 9bf6澶 9c42輶 9c53侻 9c62營 9c68鄄 9c6b鷰 9c77菏 9cbc尐 9cbd秣 9cd0婧 9d57輋 "
    "9d5a筑 9dc4拐 9ea9恢 9eef痹 9efd汊 9f60鬮 9f66鼗 9fcb僭 9fd8弌 a063蠏 a077拎 a0d5瑨 "
    "a0df煢 a0e4牐 c6cf廴 c6d3无 c6d5癶 c6d7隶 c6de〃 c6df仝 fa5f倩 fa66偽 fabd包 fac5卄 "
    "fad5卿 fb48嘅 fbb8婷 fbf3幵 fbf9廐 fc4f彘 fc6c悤 fcb9撐 fce2晴 fcf1杞 fdb7沜 fdb8渝 "
    "fdbb港 fdf1煮 fe52猪 fe6f瑜 feaa瓩 fedd砉"
)
BIG5_ADDITIONS = {bytes.fromhex(pair[:4]): pair[4:] for pair in _BIG5_SINGLE.split()} | {
    (first + i).to_bytes(2, "big"): char for first, chars in _BIG5_RUNS.items() for i, char in enumerate(chars)
}
