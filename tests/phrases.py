"""Words of advertisements in twelve scripts, the Debian fonts that write them, and texts drawn of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

NOTO = Path("/usr/share/fonts/truetype/noto")
CJK = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
NEEDED = "Debian's fonts-noto-core and fonts-noto-cjk are not installed"

FONTS: dict[str, tuple[str, Path]] = {
    "latin": ("en", NOTO / "NotoSans-Regular.ttf"),
    "greek": ("el", NOTO / "NotoSerif-Regular.ttf"),
    "cyrillic": ("ru", NOTO / "NotoSans-Bold.ttf"),
    "armenian": ("hy", NOTO / "NotoSansArmenian-Regular.ttf"),
    "georgian": ("ka", NOTO / "NotoSansGeorgian-Regular.ttf"),
    "hebrew": ("he", NOTO / "NotoSansHebrew-Regular.ttf"),
    "arabic": ("ar", NOTO / "NotoNaskhArabic-Regular.ttf"),
    "devanagari": ("hi", NOTO / "NotoSansDevanagari-Regular.ttf"),
    "bengali": ("bn", NOTO / "NotoSansBengali-Regular.ttf"),
    "tamil": ("ta", NOTO / "NotoSansTamil-Regular.ttf"),
    "thai": ("th", NOTO / "NotoSansThai-Regular.ttf"),
    "japanese": ("ja", CJK),
}
"""(language, font file) by script."""
WORDS: dict[str, str] = {
    "latin": "Slow evenings Größte Auswahl für dich Última oportunidad Soldes d'été très léger "
    "đặc biệt Žluťoučký kůň office fjord AVATAR Straße naïve İstanbul ışık "
    "smörgåsbord élégance œuvre Łódź “new” – only",
    "greek": "Προσφορά Νέα συλλογή Μόνο σήμερα Έκπτωση δωρεάν αποστολή καλύτερη τιμή ποιότητα "
    "ΰψος Ἀθῆναι ᾠδή",
    "cyrillic": "Скидка Новинка Только сегодня Бесплатная доставка Лучшая цена Ексклюзив їжа "
    "ґанок Џеп љубав ёлка",
    "armenian": "Զեղչ Նոր հավաքածու Միայն այսօր Անվճար առաքում Լավագույն գին և որակ",
    "georgian": "ფასდაკლება ახალი კოლექცია მხოლოდ დღეს უფასო მიწოდება საუკეთესო ფასი",
    "hebrew": "מבצע קולקציה חדשה רק היום משלוח חינם המחיר הטוב ביותר שָׁלוֹם לְךָ (חדש) „עד״",
    "arabic": "خصم مجموعة جديدة اليوم فقط شحن مجاني أفضل سعر لؤلؤة إلا بِسْمِ پاییز گرم کتاب لا "
    "إله (جديد) مؤسسة",
    "devanagari": "छूट नया संग्रह सिर्फ़ आज मुफ़्त डिलीवरी सर्वोत्तम मूल्य क्षत्रिय ज्ञान श्री स्त्री हिन्दी विद्यार्थी राष्ट्र",
    "bengali": "ছাড় নতুন সংগ্রহ শুধু আজ বিনামূল্যে ডেলিভারি সেরা দাম ক্ষমতা জ্ঞান শ্রী বাংলা কৃষ্ণ স্বাস্থ্য",
    "tamil": "தள்ளுபடி புதிய தொகுப்பு இன்று மட்டும் இலவச விநியோகம் சிறந்த விலை க்ஷேத்ரம் ஸ்ரீ கொள்கை",
    "thai": "ลดราคา คอลเลกชันใหม่ วันนี้เท่านั้น จัดส่งฟรี ราคาดีที่สุด น้ำหอม เก้าอี้ ปู่ป่วย ที่นี่",
    "japanese": "期間限定 セール 送料無料 今だけ ポイント10倍 新発売 お買い得 限时特惠 官方旗舰店 "
    "「特別」 パーティー、。 오늘만 할인",
}
SIGNS = ("39 €", "-50%", "1,299.00", "24/7", "(A & B)", "№ 5", "2 for 1", "3–4", "+20 %", "9:30")


def list_texts(script: str, count: int, seed: int = 0) -> Iterator[str]:
    """``count`` texts of one to eight words of ``script``, one in three with a number or sign."""
    chance = Random(f"{script} {seed}")
    words = WORDS[script].split()
    for _ in range(count):
        chosen = [chance.choice(words) for _ in range(chance.randint(1, 8))]
        if chance.random() < 1 / 3:
            chosen.insert(chance.randint(0, len(chosen)), chance.choice(SIGNS))
        yield " ".join(chosen)
