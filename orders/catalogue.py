"""What the shop of a fresh site sells."""

from orders.models import Product

# name, what is said of it, price in cents
PRODUCTS = [
    ("Ear plugs", "Two pairs, for whoever works when others sleep.", 390),
    ("Thermos flask", "Keeps half a litre hot until the morning.", 2900),
    ("Reading light", "Clips on, and wakes nobody.", 3450),
    ("Night lamp", "Warm light, and as little of it as you like.", 4900),
    ("Wool blanket", "For the hours before dawn.", 8900),
    ("Window seat", "A bench to watch the jobs from.", 34900),
]


def fill() -> list[Product]:
    """Put on the shelves what is missing there, and return what there is."""
    products = [Product(name=name, about=about, price=price) for name, about, price in PRODUCTS]
    Product.objects.bulk_create(products, ignore_conflicts=True)
    return list(Product.objects.filter(name__in=[name for name, *_ in PRODUCTS]))
