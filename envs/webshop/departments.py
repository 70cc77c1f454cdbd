"""The departments of the generated catalogue: what is sold where, and what it can be like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Department:
    """A department: its shelves, the attributes and options of its products, their prices."""

    category: str  # short name
    root: str  # first node of the category path
    shelves: dict[str, tuple[str, ...]]  # kinds of product by second node of the path
    attributes: tuple[str, ...]  # what products can be like; hidden from the shopper
    materials: tuple[str, ...]
    options: tuple[str, ...]  # groups of `vocabulary.OPTION_VALUES`
    prices: tuple[float, float]  # dollars, lowest and highest


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _pairs(shelves: str) -> list[list[str]]:
    return [shelf.split(": ") for shelf in shelves.split("; ")]


def _department(
    category: str,
    root: str,
    shelves: str,
    attributes: str,
    materials: str,
    options: str,
    prices: tuple[float, float],
) -> Department:
    """A department from lists written as text; shelves are "node: kind, kind; node: kind"."""
    named = {node: _split(kinds) for node, kinds in _pairs(shelves)}
    return Department(
        category, root, named, _split(attributes), _split(materials), _split(options), prices
    )


DEPARTMENTS = (
    _department(
        "beauty",
        "Beauty & Personal Care",
        "Hair Care: shampoo, hair mask, hair brush; Skin Care: face cream, lip balm, body lotion",
        "cruelty free, paraben free, sulfate free, long lasting, plant based, fragrance free, "
        "for dry skin, for sensitive skin, deeply moisturizing, dermatologist tested, travel size",
        "argan oil, shea butter, aloe vera, oat milk",
        "scent, volume, pack size",
        (4, 45),
    ),
    _department(
        "makeup",
        "Beauty & Personal Care",
        "Makeup: lipstick, eyeshadow palette, mascara; Nails: nail polish, nail file, false nails",
        "highly pigmented, smudge proof, easy apply, long wearing, vegan formula, non toxic, "
        "quick drying, oil free, with mirror, cruelty free",
        "mineral powder, beeswax, jojoba oil",
        "color, pack size, finish",
        (3, 35),
    ),
    _department(
        "dental",
        "Health & Household",
        "Oral Care: toothbrush, toothpaste, dental floss; "
        "Wellness: heating pad, massage ball, eye mask",
        "teeth whitening, fresh breath, bpa free, fluoride free, soft bristles, rechargeable, "
        "machine washable cover, pain relief, natural ingredients, for sensitive gums",
        "bamboo, charcoal fiber, silicone",
        "color, pack size, scent",
        (3, 50),
    ),
    _department(
        "snacks",
        "Grocery & Gourmet Food",
        "Snack Foods: granola bar, trail mix, popcorn; "
        "Sweets: gummy candy, cookie tin, chocolate truffles",
        "gluten free, low sugar, high protein, dairy free, non gmo, keto friendly, nut free, "
        "individually wrapped, baked not fried, no artificial colors, kosher certified",
        "rolled oats, roasted almonds, cane sugar",
        "flavor, pack size",
        (3, 60),
    ),
    _department(
        "drinks",
        "Grocery & Gourmet Food",
        "Beverages: green tea, ground coffee, sparkling water; "
        "Mixes: protein powder, cocoa mix, smoothie mix",
        "caffeine free, certified organic, zero calories, fair trade, hand picked, freeze dried, "
        "easy mix, rich aroma, resealable bag, lactose free",
        "whole leaf, arabica beans, pea protein",
        "flavor, pack size, volume",
        (5, 70),
    ),
    _department(
        "pantry",
        "Grocery & Gourmet Food",
        "Pantry Staples: olive oil, pasta sauce, wild rice; "
        "Spreads: almond butter, fruit jam, hot sauce",
        "cold pressed, low sodium, stone ground, fat free, shelf stable, small batch, sugar free, "
        "no preservatives, ready to eat, single origin",
        "glass jar, tin can, squeeze bottle",
        "flavor, volume, pack size",
        (3, 55),
    ),
    _department(
        "shirts",
        "Clothing, Shoes & Jewelry",
        "Tops: polo shirt, hooded sweatshirt, tank top; "
        "Formal: dress shirt, waistcoat, silk blouse",
        "machine wash, slim fit, long sleeve, short sleeve, button closure, wrinkle resistant, "
        "hand wash, relaxed fit, moisture wicking, classic collar",
        "cotton, linen, polyester blend, merino wool",
        "color, size",
        (9, 80),
    ),
    _department(
        "trousers",
        "Clothing, Shoes & Jewelry",
        "Bottoms: jogger pants, denim shorts, pleated skirt; "
        "Sleepwear: pajama set, bath robe, lounge pants",
        "elastic waist, drawstring closure, deep pockets, tummy control, quick dry, high waist, "
        "wide leg, tumble dry, stretchy fabric, fleece lined",
        "cotton, denim, bamboo viscose, flannel",
        "color, size, style",
        (10, 90),
    ),
    _department(
        "shoes",
        "Clothing, Shoes & Jewelry",
        "Shoes: running sneakers, ankle boots, leather loafers; "
        "Sandals: slide sandals, flip flops, garden clogs",
        "memory foam, slip resistant, arch support, rubber sole, steel toe, lace up, "
        "shock absorbing, water repellent, wide fit, non marking",
        "suede, canvas, mesh, full grain leather",
        "color, shoe size",
        (15, 140),
    ),
    _department(
        "jewelry",
        "Clothing, Shoes & Jewelry",
        "Jewelry: pendant necklace, hoop earrings, charm bracelet; "
        "Watches: wrist watch, watch band, pocket watch",
        "nickel free, hypoallergenic, tarnish proof, adjustable chain, gift boxed, scratch free, "
        "hand polished, quartz movement, quick release, engraved back",
        "sterling silver, stainless steel, titanium",
        "color, style",
        (8, 190),
    ),
    _department(
        "audio",
        "Electronics",
        "Headphones: wireless earbuds, gaming headset, sleep headphones; "
        "Speakers: bluetooth speaker, soundbar, turntable",
        "noise cancelling, hands free, fast charging, stereo sound, long battery life, "
        "sweat proof, low latency, deep bass, voice control, plug and play",
        "aluminum, walnut wood, soft silicone",
        "color, style",
        (15, 250),
    ),
    _department(
        "computers",
        "Electronics",
        "Accessories: mechanical keyboard, ergonomic mouse, laptop stand; "
        "Storage: flash drive, memory card, external drive",
        "high speed, ultra quiet, dual band, shock resistant, usb c port, backlit keys, "
        "password protected, anti slip feet, foldable design, energy saving",
        "aluminum alloy, abs plastic, carbon fiber",
        "color, capacity",
        (8, 220),
    ),
    _department(
        "phones",
        "Cell Phones & Accessories",
        "Cases: phone case, screen protector, phone grip; "
        "Power: charging cable, power bank, wall charger",
        "drop proof, tempered glass, wireless charging, fingerprint free, magnetic lock, "
        "tangle free, ultra thin, dust proof, raised edges, overheat protection",
        "nylon braid, polycarbonate, vegan leather",
        "color, length, pack size",
        (5, 65),
    ),
    _department(
        "cameras",
        "Electronics",
        "Photo: camera tripod, lens filter, camera strap; Video: action camera, ring light, webcam",
        "high definition, image stabilization, quick setup, night vision, remote control, "
        "carrying bag included, wide angle, waterproof housing, dimmable light, heavy duty",
        "carbon fiber, optical glass, nylon",
        "color, dimensions, style",
        (10, 260),
    ),
    _department(
        "kitchen",
        "Home & Kitchen",
        "Cookware: frying pan, stock pot, baking tray; "
        "Tools: chef knife, cutting board, measuring cups",
        "dishwasher safe, non stick, oven safe, rust proof, heat resistant, easy clean, "
        "stay cool handle, induction ready, food grade, space saving",
        "cast iron, stainless steel, acacia wood",
        "color, finish",
        (7, 120),
    ),
    _department(
        "dining",
        "Home & Kitchen",
        "Drinkware: coffee mug, wine glasses, water bottle; "
        "Table: dinner plates, serving bowl, table runner",
        "microwave safe, leak proof, double walled, hand painted, lead free, stackable, "
        "chip resistant, keeps cold all day, wide mouth, fade resistant",
        "stoneware, borosilicate glass, bone china",
        "color, style, pack size",
        (6, 85),
    ),
    _department(
        "bedding",
        "Home & Kitchen",
        "Bedding: duvet cover, pillow case, fitted sheet; "
        "Bath: bath towel, shower curtain, bath mat",
        "super soft, easy care, cooling fabric, allergen free, mildew resistant, zipper closure, "
        "oeko certified, fade proof, extra absorbent, deep corners",
        "egyptian cotton, microfiber, linen",
        "color, dimensions",
        (9, 130),
    ),
    _department(
        "furniture",
        "Home & Kitchen",
        "Living Room: coffee table, floor lamp, accent chair; "
        "Office: standing desk, bookshelf, desk chair",
        "easy assembly, solid wood, height adjustable, mid century, anti scratch, hidden storage, "
        "lumbar support, fully assembled, weight tested, rounded edges",
        "oak, rattan, velvet, powder coated steel",
        "color, finish",
        (40, 480),
    ),
    _department(
        "decor",
        "Home & Kitchen",
        "Wall: canvas print, wall clock, picture frame; "
        "Accents: scented candle, throw pillow, flower vase",
        "ready to hang, battery operated, silent movement, smoke free, hand made, uv protected, "
        "removable cover, clean burning, pet friendly, farmhouse look",
        "soy wax, reclaimed wood, ceramic",
        "color, dimensions, scent",
        (6, 110),
    ),
    _department(
        "garden",
        "Patio, Lawn & Garden",
        "Gardening: garden gloves, plant pot, watering can; "
        "Outdoor: patio umbrella, string lights, hammock",
        "weather resistant, drainage holes, puncture proof, solar powered, tilt adjustable, "
        "frost proof, tear resistant, self watering, folds flat, rust free",
        "terracotta, galvanized steel, recycled plastic",
        "color, dimensions, pack size",
        (6, 160),
    ),
    _department(
        "fitness",
        "Sports & Outdoors",
        "Exercise: yoga mat, resistance band, jump rope; "
        "Camping: sleeping bag, camping tent, hiking backpack",
        "non slip, extra thick, latex free, easy carry, tear proof, odor free, three season, "
        "breathable mesh, adjustable straps, packs small",
        "natural rubber, ripstop nylon, cork",
        "color, style, length",
        (8, 170),
    ),
    _department(
        "toys",
        "Toys & Games",
        "Building: building blocks, marble run, model train; "
        "Plush: teddy bear, hand puppet, rag doll",
        "bpa free, rounded corners, ages three and up, encourages learning, machine washable, "
        "storage box included, no small parts, quiet play, glows in the dark, award winning",
        "beech wood, plush, recycled cardboard",
        "color, style, pack size",
        (6, 95),
    ),
    _department(
        "pets",
        "Pet Supplies",
        "Dogs: dog bed, dog leash, chew toy; Cats: cat tree, litter box, cat tunnel",
        "chew proof, reflective stitching, washable lining, grain free, odor control, no pull, "
        "easy install, scratch resistant, calming, escape proof",
        "hemp rope, sisal, orthopedic foam",
        "color, size, length",
        (5, 130),
    ),
    _department(
        "stationery",
        "Office Products",
        "Writing: fountain pen, gel pens, sketchbook; "
        "Organizing: desk organizer, file folder, wall calendar",
        "acid free, smear proof, fine point, refillable, lays flat, bleed resistant, "
        "tear out pages, color coded, eco friendly, archival quality",
        "kraft paper, brass, bamboo",
        "color, pack size, style",
        (3, 60),
    ),
)
