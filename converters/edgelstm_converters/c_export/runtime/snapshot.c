/* ---- Snapshots --------------------------------------------------------------------------------------------- */
static uint32_t crc32(const uint8_t *bytes, uint32_t count)
{
    static const uint32_t nibbles[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    uint32_t crc = 0xffffffffu;
    for (uint32_t at = 0; at < count; at++) {
        crc ^= bytes[at];
        crc = (crc >> 4) ^ nibbles[crc & 15];
        crc = (crc >> 4) ^ nibbles[crc & 15];
    }
    return ~crc;
}

static uint8_t *put(uint8_t *to, uint32_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) {
        *to++ = (uint8_t)value;
        KEEP_LOOP();
    }
    return to;
}

INLINE uint8_t *put_bytes(uint8_t *to, const void *bytes, int count)
{
    const uint8_t *from = (const uint8_t *)bytes;
    for (int at = 0; at < count; at++) {
        *to++ = from[at];
        KEEP_LOOP();
    }
    return to;
}

INLINE const uint8_t *get_bytes(const uint8_t *from, void *bytes, int count)
{
    uint8_t *to = (uint8_t *)bytes;
    for (int at = 0; at < count; at++) {
        to[at] = *from++;
        KEEP_LOOP();
    }
    return from;
}

static int32_t get(const uint8_t *from, int bytes)
{
    uint32_t value = 0;
    for (int at = bytes - 1; at >= 0; at--)
        value = (value << 8) | from[at];
    return bytes == 2 ? (int16_t)(uint16_t)value : (int32_t)value;
}

INLINE uint8_t *put_words(uint8_t *to, const int32_t *values, int count)
{
    for (int at = 0; at < count; at++)
        to = put(to, (uint32_t)values[at], 4);
    return to;
}

INLINE uint8_t *put_halves(uint8_t *to, const int16_t *values, int count)
{
    for (int at = 0; at < count; at++)
        to = put(to, (uint32_t)values[at], 2);
    return to;
}

INLINE void get_words(const uint8_t *from, int32_t *values, int count)
{
    for (int at = 0; at < count; at++)
        values[at] = get(from + 4 * at, 4);
}

INLINE void get_halves(const uint8_t *from, int16_t *values, int count)
{
    for (int at = 0; at < count; at++)
        values[at] = (int16_t)get(from + 2 * at, 2);
}

INLINE int in_range(const uint8_t *from, int bytes, int count, int32_t low, int32_t high)
{
    for (int at = 0; at < count; at++)
        if (get(from + bytes * at, bytes) < low || get(from + bytes * at, bytes) > high)
            return 0;
    return 1;
}

