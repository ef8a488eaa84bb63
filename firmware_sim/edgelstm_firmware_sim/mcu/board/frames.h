/* Frames on the serial line:
 *
 * 0xA5 0x5A | length | sequence, 2 bytes | payload | CRC-16 (CCITT, from 0xFFFF) of all after the start, 2 bytes
 */
static uint16_t checksum;

static void send(uint8_t byte)
{
    board_send(byte);
    checksum = (uint16_t)(checksum ^ (byte << 8));
    for (int bit = 0; bit < 8; bit++)
        checksum = (uint16_t)(checksum & 0x8000 ? checksum << 1 ^ 0x1021 : checksum << 1);
}

static void send_bytes(const void *bytes, int count)
{
    const uint8_t *from = (const uint8_t *)bytes;
    for (int n = 0; n < count; n++)
        send(from[n]);
}

static void send_float(float value)
{
    send_bytes(&value, 4);
}

static void begin_frame(uint16_t sequence, int length)
{
    send(0xa5);
    send(0x5a);
    checksum = 0xffff;
    send((uint8_t)length);
    send_bytes(&sequence, 2);
}

static void end_frame(void)
{
    uint16_t all = checksum;
    send_bytes(&all, 2);
}
